package play

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/troupe-dev/troupe/services/troupe/internal/terminal"
)

// greeting is what people see when the playground is up: where everything is, what comes first first.
func greeting(o Options, at Playground, l *logs, title string) string {
	var b strings.Builder
	row := func(name, where, what string) {
		name, what = l.style.Paint(terminal.Bold, fmt.Sprintf("%-9s", name)), l.style.Paint(terminal.Dim, what)
		fmt.Fprintf(&b, "  %s %-36s %s\n", name, where, what)
	}
	fmt.Fprintf(&b, "\n%s Everything is on this machine only.\n\n", l.style.Paint(terminal.Bold, title))
	row("console", at.Console, "look here first: the troupe at work, every order's story, and what to break")
	row("order", at.Order+"/orders", "place and cancel")
	row("query", at.Query+"/orders", "the read side: orders, their stories, live streams")
	row("mailbox", at.Mailbox, "the mails that customers get")
	row("gateway", at.Gateway, "charges and refunds (a simulator)")
	if at.Issuer != "" {
		row("issuer", at.Issuer, "signs you in to the console; gives tokens: "+os.Args[0]+" token c-1001")
	}
	row("control", at.Control+"/processes", "kill, pause, flush: nothing gets lost")
	kafka, redis := "embedded, kept in "+o.Dir, "embedded, forgets when it ends"
	if len(o.KafkaBrokers) > 0 {
		kafka = "external"
	}
	if o.RedisAddr != "" {
		redis = "external"
	}
	row("kafka", strings.Join(at.Kafka, ","), kafka)
	row("redis", at.Redis, redis)
	fmt.Fprintf(&b, "\nPlace an order:\n\n%s\n\n", curl(at))
	fmt.Fprintf(&b, "or %s, or watch three of them with %s. Stop with Ctrl-C.\n\n",
		l.style.Paint(terminal.Bold, os.Args[0]+" place"), l.style.Paint(terminal.Bold, os.Args[0]+" demo"))
	return b.String()
}

// curl is a command to copy; each time it is run it is a new order.
func curl(at Playground) string {
	token := ""
	if at.Issuer != "" {
		token = ` -H "Authorization: Bearer $(` + os.Args[0] + ` token c-1001)"`
	}
	return `  curl -i ` + at.Order + `/orders -H 'Content-Type: application/json' -H "Idempotency-Key: order-$(date +%s)"` + token + ` -d '{
    "customer_id": "c-1001", "email": "ada@example.com", "currency": "EUR", "payment_method": "pm_card_visa",
    "lines": [{"sku": "TEA-250", "name": "Green tea", "quantity": 2, "unit_price": 1250}]}'`
}

// reasons reads why a service says that it is not ready.
func reasons(body io.Reader) string {
	var status struct {
		Unready []struct{ Name, Reason string } `json:"unready"`
	}
	if json.NewDecoder(io.LimitReader(body, 64<<10)).Decode(&status) != nil || len(status.Unready) == 0 {
		return "not ready"
	}
	why := make([]string, len(status.Unready))
	for i, u := range status.Unready {
		why[i] = u.Name + ": " + u.Reason
	}
	return strings.Join(why, ", ")
}
