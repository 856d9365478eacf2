package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/troupe/rest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// address is nobody's.
const address = "where.it.lies@example.com"

// Mail addresses lie where docs/privacy.md says, and nowhere else. When they are erased as it says, everything goes on.
func TestMailAddressesLieWhereItSays(t *testing.T) {
	told := collectAll(t)
	p := alone(t, "--payment-deadline", "1h")
	edited := p.place(t, "--email", address, "--payment-method", "pm_sim_refused")
	payload := p.parked(t, edited, 1).Letters[0].Payload
	file := filepath.Join(t.TempDir(), "payload.json")
	if err := os.WriteFile(file, bytes.Replace(payload, []byte("pm_sim_refused"), []byte("pm_card_visa"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	p.letters(t, 0, "edit "+edited+" --reason wrong-method --by ada --payload "+file)
	p.settled(t, edited)
	cancelled := p.place(t, "--email", address)
	p.settled(t, cancelled)
	if out, code := p.troupe(t, "cancel", cancelled); code != 0 {
		t.Fatal(out)
	}
	p.settled(t, cancelled)
	parked := p.place(t, "--email", address, "--payment-method", "pm_sim_refused")
	p.parked(t, parked, 1)
	answer := func(url string) string {
		said, err := document(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(said)
	}

	want := []string{
		"notification.events.v1", "order.events.v1", "payment.dead-letters.v1", "payment.redrive.v1",
	}
	if diff := cmp.Diff(want, p.topicsWith(t, address)); diff != "" {
		t.Errorf("topics with an address (-want +got):\n%s", diff)
	}
	// What payment parks is in its outbox until it is in the log, and a moment longer.
	eventually(t, 30*time.Second, "payment's outbox is empty", func() error { return p.empty(t, "{payment:*}:outbox") })
	if diff := cmp.Diff([]string{"notification", "order"}, p.keysWith(t, address)); diff != "" {
		t.Errorf("whose keys hold an address (-want +got):\n%s", diff)
	}
	if !strings.Contains(answer(p.Console+"/api/dead-letters/payment/"+parked), address) {
		t.Error("operators are not shown what they may edit")
	}

	silent := map[string]string{"what was exported": told(), "files beside the log's and the mailbox's": p.files(t)}
	list := answer(p.Console + "/api/dead-letters")
	if !strings.Contains(list, parked) {
		t.Errorf("%s is not in the list of dead letters: %s", parked, list)
	}
	silent["the list of dead letters"] = list
	for _, id := range []string{edited, cancelled, parked} {
		silent["order "+id] = answer(p.Query + "/orders/" + id)
		silent["story of "+id] = answer(p.Query + "/orders/" + id + "/events")
	}
	for what, said := range silent {
		if said == "" || strings.Contains(said, address) {
			t.Errorf("%s: empty, or with the address", what)
		}
	}

	p.letters(t, 0, "discard "+parked+" --by ada --reason unwanted")
	p.erase(t)
	for _, topic := range p.topicsWith(t, address) {
		if !strings.HasSuffix(topic, ".events.v1") {
			t.Errorf("%s has an address after it was erased", topic)
		}
	}
	eventually(t, 30*time.Second, "flush Redis", func() error { return p.control.FlushRedis(t.Context()) })
	var again string
	eventually(t, 30*time.Second, "an order is taken again", func() error {
		out, code := p.troupe(t, "place", "--json", "--key", "after-the-erasure")
		var placed rest.Accepted
		if code != 0 {
			return fmt.Errorf("exit code %d: %s", code, out)
		}
		if err := json.Unmarshal([]byte(out), &placed); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		again = placed.ID
		return nil
	})
	if after := p.settled(t, again); after.Status != "confirmed" {
		t.Errorf("an order afterwards: %+v", after)
	}
	if after := p.settled(t, edited); after.Status != "confirmed" {
		t.Errorf("an order of before: %+v", after)
	}
}

// collectAll returns what the processes that are started from now on export, as it came.
func collectAll(t *testing.T) (told func() string) {
	t.Helper()
	var mu sync.Mutex
	var all bytes.Buffer
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&all, r.Body) // what a process that died has sent
	}))
	t.Cleanup(srv.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	t.Setenv("OTEL_BLRP_SCHEDULE_DELAY", "100")
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

func ownTopics(t *testing.T) (topics []string) {
	t.Helper()
	c, err := choreography.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Names() {
		for _, topic := range c.OwnTopics(name, 0) {
			topics = append(topics, topic.Name)
		}
	}
	return topics
}

// topicsWith are those with a record that holds a text.
func (p *playground) topicsWith(t *testing.T, text string) (found []string) {
	t.Helper()
	for _, topic := range ownTopics(t) {
		records, err := p.log.Topic(t.Context(), topic, partitions)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if holds := bytes.Contains(r.Value, []byte(text)); holds && !slices.Contains(found, topic) {
				found = append(found, topic)
			}
		}
	}
	slices.Sort(found)
	return found
}

// keysWith are the participants and readers with a key that holds a text.
func (p *playground) keysWith(t *testing.T, text string) (found []string) {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: p.Redis})
	defer func() { _ = c.Close() }()
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		owner, _, _ := strings.Cut(strings.TrimPrefix(key, "{"), ":")
		var value any
		switch kind := c.Type(t.Context(), key).Val(); kind {
		case "string":
			value = c.Get(t.Context(), key).Val()
		case "hash":
			value = c.HGetAll(t.Context(), key).Val()
		case "zset":
			value = c.ZRange(t.Context(), key, 0, -1).Val()
		case "list":
			value = c.LRange(t.Context(), key, 0, -1).Val()
		case "none": // it has expired
		default:
			t.Errorf("key %s is a %s", key, kind)
		}
		if strings.Contains(fmt.Sprint(value), text) && !slices.Contains(found, owner) {
			found = append(found, owner)
		}
	}
	slices.Sort(found)
	return found
}

// empty is an error while a key is like this.
func (p *playground) empty(t *testing.T, like string) error {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: p.Redis})
	defer func() { _ = c.Close() }()
	keys, err := c.Keys(t.Context(), like).Result()
	if err == nil && len(keys) > 0 {
		err = fmt.Errorf("there are %v", keys)
	}
	return err
}

// files are what the playground's processes have written, without the broker's log and the mailbox.
func (p *playground) files(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.IsDir() && slices.Contains([]string{"kafka", "mailbox"}, d.Name()) {
				return fs.SkipDir
			}
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// erase takes away what dead letters and what was asked about them hold, as docs/privacy.md says.
func (p *playground) erase(t *testing.T) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(p.Kafka...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var topics []string
	for _, topic := range ownTopics(t) {
		if strings.HasSuffix(topic, ".dead-letters.v1") || strings.HasSuffix(topic, ".redrive.v1") {
			topics = append(topics, topic)
		}
	}
	ends, err := admin.ListEndOffsets(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := admin.DeleteRecords(t.Context(), ends.Offsets())
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}
