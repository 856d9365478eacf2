package check

import (
	"slices"

	"github.com/troupe-dev/troupe/pkg/event"
	notificationv1 "github.com/troupe-dev/troupe/schemas/gen/notification/v1"
	"github.com/troupe-dev/troupe/services/troupe/internal/mailbox"
)

// mailAgainst checks that there is one Message-ID per fact and no mail without one, and that an order's mails came each after its
// cause, and in the order of their causes where these have one: within a topic. Copies with the same Message-ID are allowed.
func mailAgainst(r *Report, mails []mailbox.Message, l *log, expected map[string]Expected) {
	first := map[string]mailbox.Message{} // by Message-ID
	copies := map[string]int{}
	for _, m := range mails {
		if copies[m.MessageID]++; copies[m.MessageID] == 1 {
			first[m.MessageID] = m
		}
	}
	byEmail := map[string]string{}
	for id, e := range expected {
		byEmail[e.Email] = id
	}
	owner := map[string]string{}
	for id, messages := range l.Accepted {
		last := map[string]mailbox.Message{} // by the source of the cause
		for _, m := range messages {
			sent, ok := m.Body.(*notificationv1.NotificationSent)
			if !ok {
				continue
			}
			message := bare(sent.GetMessageId())
			if other, taken := owner[message]; taken {
				r.Violation(Choreography, id, "has the Message-ID %s, which order %s has too", message, other)
			}
			owner[message] = id
			got, there := first[message]
			if !there {
				r.Violation(Lost, id, "mail %s was sent, says the log, and is not in the mailbox", message)
				continue
			}
			cause, known := causeOf(messages, m.CausationID)
			if !known {
				continue // the choreography says so
			}
			if before := last[cause.Source]; got.ID < before.ID {
				r.Violation(Misordered, id, "mail %s came before %s, which tells about something earlier", message, before.MessageID)
			}
			last[cause.Source] = got
			if got.Received.Before(cause.Time) {
				r.Violation(Misordered, id, "mail %s came before what it tells about", message)
			}
		}
	}
	for message, n := range copies {
		r.Mails++
		r.MailCopies += n - 1
		r.CopiesPerMail[n]++
		if owner[message] == "" {
			r.Violation(MailedTwice, recipient(first[message], byEmail), "mail %s is in the mailbox, and no fact says so", message)
		}
	}
	toldOnce(r, first, byEmail)
}

// toldOnce looks at the mailbox alone: nobody is told the same under two Message-IDs.
func toldOnce(r *Report, first map[string]mailbox.Message, byEmail map[string]string) {
	type told struct{ order, subject string }
	by := map[told][]string{}
	for message, m := range first {
		if id := recipient(m, byEmail); id != "" {
			by[told{id, m.Subject}] = append(by[told{id, m.Subject}], message)
		}
	}
	for t, messages := range by {
		if len(messages) > 1 {
			slices.Sort(messages)
			r.Violation(MailedTwice, t.order, "%q came under %d Message-IDs: %v", t.subject, len(messages), messages)
		}
	}
}

// recipient is the order whose mails go to that address; empty when there is none.
func recipient(m mailbox.Message, byEmail map[string]string) string {
	for _, to := range m.To {
		if to != "" && byEmail[to] != "" {
			return byEmail[to]
		}
	}
	return ""
}

// causeOf finds what a mail tells about: the event that its fact names as the cause.
func causeOf(messages []event.Message, id string) (event.Message, bool) {
	i := slices.IndexFunc(messages, func(m event.Message) bool { return m.ID == id })
	if i < 0 {
		return event.Message{}, false
	}
	return messages[i], true
}
