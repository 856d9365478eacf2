package notification

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/broker"
	"github.com/troupe-dev/troupe/pkg/config"
	"github.com/troupe-dev/troupe/pkg/participant"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	orderv1 "github.com/troupe-dev/troupe/schemas/gen/order/v1"
	"google.golang.org/protobuf/proto"
)

func TestAnOrderIsToldFromEndToEnd(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	if code, _ := w.get("/livez"); code != http.StatusOK {
		t.Errorf("livez: %d", code)
	}
	if code, body := w.get("/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("ready without the topics it listens to: %s", body)
	}
	w.provision()
	w.ready()

	yes := named(confirmed(), "confirmed")
	no := named(cancelled(orderv1.CancellationReason_CANCELLATION_REASON_CUSTOMER), "cancelled")
	back := named(refunded(), "refunded")
	// The refund comes first: it waits for an address, and nothing of another order waits with it.
	w.publish("payment", "order-1", back, 1, "")
	w.publish("order", "order-2", named(confirmed(), "other"), 1, "")
	w.eventually("the other order", func() bool { return len(w.facts("order-2")) == 1 })
	if got := w.facts("order-1"); len(got) != 0 {
		t.Fatalf("told %v", got)
	}
	w.publish("order", "order-1", yes, 1, "")
	w.publish("order", "order-1", no, 2, yes.ID)
	w.eventually("three facts", func() bool { return len(w.facts("order-1")) == 3 })
	stop()

	// What was delivered before is delivered again, to an instance whose Redis knows it.
	w.start()
	w.publish("order", "order-1", no, 2, yes.ID)
	w.publish("order", "order-3", named(confirmed(), "third"), 1, "")
	w.publish("order", "order-4", named(confirmed(), "fourth"), 1, "")
	w.eventually("later orders", func() bool { return len(w.facts("order-3")) == 1 && len(w.facts("order-4")) == 1 })
	kinds := map[notificationv1.Kind]bool{}
	previous := ""
	for i, m := range w.facts("order-1") {
		sent, ok := m.Body.(*notificationv1.NotificationSent)
		if !ok || m.Sequence != uint64(i+1) || m.PreviousID != previous || sent.GetEmail() != "ada@example.com" {
			t.Errorf("fact %d: %+v", i, m)
			continue
		}
		previous = m.ID
		kinds[sent.GetKind()] = true
		if sent.GetMessageId() != m.CausationID+"@troupe.example" || w.mail.count(sent.GetMessageId()) != 1 {
			t.Errorf("mail %s came %d times", sent.GetMessageId(), w.mail.count(sent.GetMessageId()))
		}
	}
	if len(kinds) != 3 {
		t.Errorf("told %v", kinds)
	}
	if code, body := w.get("/metrics"); code != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("metrics: %d %s", code, body)
	}
}

func TestABusyMailServerIsWaitedForAndARefusalIsAFact(t *testing.T) {
	w := newWorld(t)
	w.provision()
	w.start()
	w.ready()
	w.mail.setBusy(true)
	event1 := named(confirmed(), "first")
	w.publish("order", "order-1", event1, 1, "")
	refused := named(confirmed(), "refused")
	body := proto.CloneOf(refused.Body.(*orderv1.OrderConfirmed))
	body.Email = "refused@example.com"
	refused.Body = body
	w.publish("order", "order-2", refused, 1, "")
	w.eventually("the refusal", func() bool { return len(w.facts("order-2")) == 1 })
	failed, ok := w.facts("order-2")[0].Body.(*notificationv1.NotificationFailed)
	if !ok || failed.GetReason() != "550 5.1.1 nobody here" || failed.GetEmail() != "refused@example.com" {
		t.Errorf("%v", failed)
	}
	if got := w.facts("order-1"); len(got) != 0 {
		t.Fatalf("told %v", got)
	}
	w.mail.setBusy(false)
	w.eventually("the mail", func() bool { return len(w.facts("order-1")) == 1 })
	if n := w.mail.count(event1.ID + "@troupe.example"); n != 1 {
		t.Errorf("%d mails", n)
	}
	letters := broker.TopicPartition{Topic: participant.DeadLettersTopic(Name), Partition: broker.Partition([]byte("order-1"), partitions)}
	if ends, err := w.log.Ends(t.Context(), []broker.TopicPartition{letters}); err != nil || ends[letters] != 0 {
		t.Errorf("dead letters: %v %v", ends, err)
	}
}

// The answer to a mail may take minutes, which a stop does not: a part that is late is an error of Run.
func TestAStopDoesNotWaitForASlowMailServer(t *testing.T) {
	w := newWorld(t)
	w.mail.held = make(chan chan struct{})
	w.provision()
	stop := w.start()
	w.ready()
	w.publish("order", "order-1", named(confirmed(), "first"), 1, "")
	hold := <-w.mail.held
	stop()
	close(hold)
}

// Mails that are put off, however many, hold up nobody else's, keep the service ready, and come by themselves once they are taken.
func TestMailsThatArePutOffWaitAlone(t *testing.T) {
	w := newWorld(t)
	w.provision()
	w.start()
	w.ready()
	w.mail.putOff(true)
	tell := func(order, email string) {
		m := named(confirmed(), order)
		m.Time = time.Now()
		body := proto.CloneOf(m.Body.(*orderv1.OrderConfirmed))
		body.Email = email
		m.Body = body
		w.publish("order", order, m, 1, "")
	}
	const n = 60 // more in each partition than may wait before it stops
	for i := range n {
		tell(fmt.Sprintf("later-%d", i), "later@example.com")
	}
	for i := range n {
		tell(fmt.Sprintf("good-%d", i), "ada@example.com")
	}
	for i := range n {
		order := fmt.Sprintf("good-%d", i)
		w.eventually(order, func() bool { return len(w.facts(order)) == 1 })
	}
	w.ready()
	w.mail.putOff(false)
	for i := range n {
		order := fmt.Sprintf("later-%d", i)
		w.eventually(order, func() bool { return len(w.facts(order)) == 1 })
		if sent, ok := w.facts(order)[0].Body.(*notificationv1.NotificationSent); !ok {
			t.Errorf("%s: %v", order, sent)
		}
	}
}

func TestRunNamesWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	for want, variable := range map[string]string{
		"SMTP_TLS":                 "SMTP_TLS=maybe",
		"PARTITIONS":               "PARTITIONS=0",
		"RETENTION":                "RETENTION=1h",
		"MAIL_GIVE_UP_AFTER":       "MAIL_GIVE_UP_AFTER=361h",
		"NOTIFICATION_CONCURRENCY": "NOTIFICATION_CONCURRENCY=0",
		taken.Addr().String():      fmt.Sprint("HTTP_ADDR=", taken.Addr()),
	} {
		cfg, err := config.Load[Config]([]string{variable})
		if err == nil {
			err = Run(t.Context(), cfg)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}
