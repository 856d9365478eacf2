package check

import (
	"slices"
	"time"

	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
)

// Mail is one mail in the mailbox.
type Mail struct {
	// ID numbers the mails as they came.
	ID int64 `json:"id"`
	// MessageID is without angle brackets.
	MessageID string    `json:"message_id"`
	Subject   string    `json:"subject"`
	To        []string  `json:"to"`
	Received  time.Time `json:"received_at"`
}

// mails checks that there is one Message-ID per fact and no mail without one, and that an order's mails came each after
// its cause, and in the order of their causes where these have one: within a topic. Copies with the same Message-ID are
// allowed.
func (k *Checker) mails(r *Report, mails []Mail, expected map[string]Expected) {
	first, copies := map[string]Mail{}, map[string]int{} // by Message-ID
	for _, m := range mails {
		if copies[m.MessageID]++; copies[m.MessageID] == 1 {
			first[m.MessageID] = m
		}
	}
	owner := map[string]string{}
	for _, o := range k.orders {
		o.mails(r, first, owner)
	}
	byEmail := map[string]string{}
	for id, e := range expected {
		byEmail[e.Email] = id
	}
	type told struct{ order, subject string }
	by := map[told][]string{}
	for message, n := range copies {
		r.Mails++
		r.MailCopies += n - 1
		r.CopiesPerMail[n]++
		to := recipient(first[message], byEmail)
		if owner[message] == "" {
			r.add(strangeMail.violation(to, "mail %s is in the mailbox, and no fact says so", message))
		}
		if to != "" {
			t := told{to, first[message].Subject}
			by[t] = append(by[t], message)
		}
	}
	for t, messages := range by {
		if len(messages) > 1 {
			slices.Sort(messages)
			r.add(mailedTwice.violation(t.order, "%q came under %d Message-IDs: %v", t.subject, len(messages), messages))
		}
	}
}

func (o *Order) mails(r *Report, first map[string]Mail, owner map[string]string) {
	n := o.know()
	last := map[string]Mail{} // by the source of the cause
	for _, e := range n.accepted {
		sent, ok := e.body.(*notificationv1.NotificationSent)
		if !ok {
			continue
		}
		message := bare(sent.GetMessageId())
		if other, taken := owner[message]; taken {
			r.add(sharedID.violation(o.ID, "has the Message-ID %s, which order %s has too", message, other))
		}
		owner[message] = o.ID
		got, there := first[message]
		if !there {
			r.add(lostMail.violation(o.ID, "mail %s was sent, says the log, and is not in the mailbox", message))
			continue
		}
		i := slices.IndexFunc(n.accepted, func(c event) bool { return c.ID == e.CausationID })
		if i < 0 {
			continue // the choreography says so
		}
		cause := n.accepted[i]
		if before := last[cause.Source]; got.ID < before.ID {
			r.add(mailsSwap.violation(o.ID, "mail %s came before %s, which tells about something earlier",
				message, before.MessageID))
		}
		last[cause.Source] = got
		if got.Received.Before(cause.time) {
			r.add(earlyMail.violation(o.ID, "mail %s came before what it tells about", message))
		}
	}
}

// recipient is the order whose mails go to that address; empty when there is none.
func recipient(m Mail, byEmail map[string]string) string {
	for _, to := range m.To {
		if to != "" && byEmail[to] != "" {
			return byEmail[to]
		}
	}
	return ""
}
