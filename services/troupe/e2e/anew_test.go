package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/schemas/check"
	"github.com/troupe-dev/troupe/services/troupe/inspect"
	"github.com/troupe-dev/troupe/services/troupe/rest"
)

// services are the processes that read and write the log; the console, which reads it too, stays when they are stopped.
var services = []string{"order", "payment", "notification", "query"}

// All topics are deleted and created anew, Redis kept: under running services, which say so while there are none; and while
// the services are stopped, which create them. Then one is grown. What is ordered since is settled; what is asked for again is
// a new order, for which nobody pays twice; the rest is not there any more.
func TestTroupeOutlivesItsTopics(t *testing.T) {
	p := start(t)
	o := p.operator(t)
	parked := newCustomer("parked", "pm_sim_refused")
	late := newCustomer("late", "pm_sim_slow_2s")
	first := visitors("first")
	p.ask(t, parked)
	p.buy(t, nil, first)
	p.parked(t, parked.ID, 1)
	p.ask(t, late)
	eventually(t, 20*time.Second, "the late one is being charged", func() error {
		l, err := inspect.Ledger(t.Context(), p.Gateway, late.ID)
		if err == nil && len(l.Orders) == 0 {
			err = errors.New("it is not in the ledger")
		}
		return err
	})

	o.delete(t)
	p.health(t, http.StatusServiceUnavailable, "does not exist")
	for what, ask := range map[string]func() error{
		"place":  func() error { _, err := p.orders.Place(t.Context(), "anew-away", late.order); return err },
		"cancel": func() error { _, err := p.orders.Cancel(t.Context(), first[1].ID); return err },
	} {
		if err := ask(); fault.ClassOf(err) != fault.Unavailable {
			t.Errorf("%s while the topics are away: %v", what, err)
		}
	}
	o.create(t)
	p.health(t, http.StatusOK, "")
	dead, again := []*customer{parked, first[0], first[1]}, append([]*customer{late}, kept(first[2:])...)
	p.unknown(t, dead)
	_, err := p.orders.Order(t.Context(), first[2].ID, rest.Read{Token: first[2].token, Wait: time.Second})
	if fault.ClassOf(err) != fault.Unavailable {
		t.Errorf("read with a token of a log that is gone: %v", err)
	}
	second := visitors("second")
	p.buy(t, again, second)
	p.letters(t, 0, "list", "nothing found")

	p.restart(t, func() { o.delete(t) })
	dead, again = append(dead, second[1]), slices.Concat(again, kept(second[2:]))
	p.unknown(t, dead)
	third := visitors("third")
	p.buy(t, again, third)
	p.verifyAnew(t, append(third, again...), again)

	p.restart(t, func() {
		if _, err := o.UpdatePartitions(t.Context(), 2*partitions, "order.events.v1"); err != nil {
			t.Fatal(err)
		}
	})
	p.buy(t, third[1:2], visitors("fourth"))
}

// at is where the services and the console answer, by process.
func (p *playground) at(t *testing.T) map[string]string {
	t.Helper()
	list, err := p.control.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]string{}
	for _, s := range list {
		if s.Service == "console" || slices.Contains(services, s.Service) {
			at[s.Name] = s.Addresses["http"]
		}
	}
	return at
}

// health waits until every service, and the console, answers /readyz with a status, and says something.
func (p *playground) health(t *testing.T, status int, says string) {
	t.Helper()
	for name, at := range p.at(t) {
		eventually(t, 30*time.Second, fmt.Sprint(name, " is at ", status), func() error {
			resp, err := http.Get(at + "/readyz")
			if err != nil {
				return err
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err == nil && (resp.StatusCode != status || !strings.Contains(string(body), says)) {
				err = fmt.Errorf("%s: %s", resp.Status, body)
			}
			return err
		})
	}
}

// customer is somebody's order.
type customer struct {
	check.Expected
	key   string
	order rest.PlaceOrder
	token string
}

func newCustomer(key, method string) *customer {
	email := key + "@example.com"
	return &customer{
		key: "anew-" + key, Expected: check.Expected{Total: 2500, Currency: "EUR", Email: email},
		order: rest.PlaceOrder{
			CustomerID: "c-" + key, Email: email, Currency: "EUR", PaymentMethod: method,
			Lines: []rest.Line{{SKU: "TEA-250", Name: "Green tea", Quantity: 1, UnitPrice: 2500}},
		},
	}
}

// visitors are so many that every partition has some.
func visitors(when string) (all []*customer) {
	for n := range 30 {
		all = append(all, newCustomer(fmt.Sprint(when, "-", n), "pm_card_visa"))
	}
	return all
}

// ask places an order, with the key that its customer always takes, until it is taken.
func (p *playground) ask(t *testing.T, c *customer) {
	t.Helper()
	eventually(t, 20*time.Second, c.key+" is taken", func() error {
		a, err := p.orders.Place(t.Context(), c.key, c.order)
		if err != nil {
			return err
		}
		if c.ID != "" && c.ID != a.ID {
			t.Errorf("%s is %s, and was %s", c.key, a.ID, c.ID)
		}
		c.ID, c.token = a.ID, a.ConsistencyToken
		return nil
	})
}

// buy has some order, one in three of the new ones change their mind, and waits until each has what it wanted.
func (p *playground) buy(t *testing.T, again, anew []*customer) {
	t.Helper()
	all := slices.Concat(again, anew)
	for _, c := range all {
		p.ask(t, c)
	}
	for i, c := range anew {
		if c.CancelAsked = i%3 == 0; c.CancelAsked {
			eventually(t, 20*time.Second, c.key+" is cancelled", func() error {
				_, err := p.orders.Cancel(t.Context(), c.ID)
				return err
			})
		}
	}
	for _, c := range all {
		want := "confirmed"
		if c.CancelAsked {
			want = "cancelled"
		}
		eventually(t, 20*time.Second, c.key+" is "+want, func() error {
			o, err := p.orders.Order(t.Context(), c.ID, rest.Read{Token: c.token})
			if err == nil && (o.Status != want || !rest.Ended(o)) {
				err = fmt.Errorf("it is %s, its payment %s", o.Status, o.Payment.Status)
			}
			return err
		})
	}
}

// unknown waits until orders of a log that is gone are not found. Until then it may only be said that this cannot be told.
func (p *playground) unknown(t *testing.T, dead []*customer) {
	t.Helper()
	for _, c := range dead {
		for what, ask := range map[string]func() error{
			"read":   func() error { _, err := p.orders.Order(t.Context(), c.ID, rest.Read{}); return err },
			"story":  func() error { _, err := p.orders.Story(t.Context(), c.ID); return err },
			"cancel": func() error { _, err := p.orders.Cancel(t.Context(), c.ID); return err },
		} {
			eventually(t, 20*time.Second, what+" of "+c.key+" is not found", func() error {
				err := ask()
				switch fault.ClassOf(err) {
				case fault.NotFound:
					return nil
				case fault.Unavailable:
					return err
				}
				t.Fatalf("%s of %s, whose log is gone: %v", what, c.key, err)
				return nil
			})
		}
	}
}

// verifyAnew checks every promise to those whose orders are in the logs that are there now. For some of them, money moved at the
// word of a log that is gone; of anybody else nothing but money and mails is left.
func (p *playground) verifyAnew(t *testing.T, all, again []*customer) {
	t.Helper()
	var expected []check.Expected
	here, earlier := map[string]bool{}, map[string]bool{}
	for _, c := range all {
		expected = append(expected, c.Expected)
		here[c.ID] = true
	}
	for _, c := range again {
		earlier[c.ID] = true
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := inspect.Quiet(ctx, p.system(), expected, nil); err != nil {
		t.Error(err)
	}
	r, err := inspect.Run(t.Context(), p.system(), expected)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Violations {
		switch {
		case v.Order != "" && !here[v.Order]:
		case v.Order == "" && v.Guarantee == check.MailedTwice: // to anybody else
		case earlier[v.Order] && v.Guarantee == check.Misordered: // charged before it was placed
		default:
			t.Errorf("%s", v)
		}
	}
	if len(r.ChargesPerOrder) == 0 || r.ChargesPerOrder[1] < len(again) {
		t.Errorf("charges per order: %v", r.ChargesPerOrder)
	}
}

// kept are those who did not change their mind.
func kept(all []*customer) []*customer {
	return slices.DeleteFunc(slices.Clone(all), func(c *customer) bool { return c.CancelAsked })
}

// restart stops all services, does something, and starts them again.
func (p *playground) restart(t *testing.T, meanwhile func()) {
	t.Helper()
	for _, s := range services {
		p.do(t, s, "stop")
	}
	eventually(t, 30*time.Second, "the services have stopped", func() error {
		list, err := p.control.Processes(t.Context())
		for _, s := range list {
			if slices.Contains(services, s.Service) && s.PID != 0 {
				return fmt.Errorf("%s runs", s.Name)
			}
		}
		return err
	})
	meanwhile()
	for _, s := range services {
		p.do(t, s, "start")
	}
	p.health(t, http.StatusOK, "")
}
