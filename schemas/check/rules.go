package check

import "fmt"

// Guarantee names a promise of Troupe in reports.
type Guarantee string

// Guarantees.
const (
	// Lost: an order, a cancellation, a charge, a refund or a mail that was promised is not there.
	Lost          Guarantee = "lost"
	ChargedTwice  Guarantee = "charged_twice"
	RefundedTwice Guarantee = "refunded_twice"
	// MailedTwice: a customer was told the same under two Message-IDs. Copies with one Message-ID are allowed.
	MailedTwice Guarantee = "mailed_twice"
	// Misordered: gaps and swaps of an order's facts, effects before their causes, records where they do not belong.
	Misordered Guarantee = "misordered"
	// Stuck: what has begun does not come to its end.
	Stuck     Guarantee = "stuck"
	ReadModel Guarantee = "read_model"
	// Choreography: steps that the choreography does not know, answers given twice, facts and effects that contradict
	// each other.
	Choreography      Guarantee = "choreography"
	UnexplainedLetter Guarantee = "unexplained_letter"
	// NotProven: the run did not do what it was to show.
	NotProven Guarantee = "not_proven"
)

// Guarantees lists all, in the order of reports.
var Guarantees = []Guarantee{
	Lost, ChargedTwice, RefundedTwice, MailedTwice, Misordered, Stuck, ReadModel, Choreography, UnexplainedLetter, NotProven,
}

// Violation is one promise that was not kept.
type Violation struct {
	Guarantee Guarantee `json:"guarantee"`
	// Rule is the one of Rules that found it; empty for what others than the checker have seen.
	Rule string `json:"rule,omitempty"`
	// Order is empty for what is not about one order.
	Order string `json:"order,omitempty"`
	Text  string `json:"text"`
}

func (v Violation) String() string {
	if v.Order == "" {
		return string(v.Guarantee) + ": " + v.Text
	}
	return string(v.Guarantee) + ": order " + v.Order + ": " + v.Text
}

// Rule is something that must be true, and the promise that is broken where it is not.
type Rule struct {
	Name  string
	Keeps Guarantee
}

// Rules are all that the checker knows.
var Rules []Rule

func rule(name string, keeps Guarantee) Rule {
	r := Rule{name, keeps}
	Rules = append(Rules, r)
	return r
}

func (r Rule) violation(order, format string, args ...any) Violation {
	return Violation{Guarantee: r.Keeps, Rule: r.Name, Order: order, Text: fmt.Sprintf(format, args...)}
}

// Rules about the log.
var (
	noEvent    = rule("every record is an event, poison, or a copy", Choreography)
	misplaced  = rule("a record lies in the partition of its key", Misordered)
	step       = rule("the choreography knows the step", Choreography)
	uncaused   = rule("a fact's cause is in the log", Choreography)
	unsettled  = rule("nothing waits at the end", Stuck)
	swapped    = rule("a fact lies behind the one that it follows", Misordered)
	gap        = rule("the fact that another follows is in the log", Misordered)
	hurried    = rule("no fact is decided before its cause", Misordered)
	stranger   = rule("no order is in the log that nobody was promised", Choreography)
	lostOrder  = rule("an order that was taken is in the log", Lost)
	repeated   = rule("an order is placed, confirmed, cancelled and declined once", Choreography)
	paidTwice  = rule("an order is charged once, says the log", ChargedTwice)
	givenTwice = rule("an order is refunded once, says the log", RefundedTwice)
	wrongWhy   = rule("a cancellation tells the reason of the decline", Choreography)
	early      = rule("a payment is given up after its deadline", Misordered)
	kept       = rule("a cancelled order keeps no money", Lost)
	answers    = rule("a cancelled order has one answer to its payment", Choreography)
	unpaid     = rule("a confirmed order is paid and not refunded", Choreography)
	endless    = rule("an order is confirmed or cancelled at the end", Stuck)
	forgotten  = rule("a promised cancellation happens", Lost)
	badCard    = rule("a declined card buys nothing", Choreography)
	goodCard   = rule("a good card is not refused", Choreography)
	wrongPrice = rule("what was charged is the order's total, says the log", Choreography)
	wrongBack  = rule("what was refunded is the order's total, says the log", Choreography)
	toldTwice  = rule("a customer is told once of each end, says the log", MailedTwice)
	untold     = rule("a customer is told of each end, says the log", Lost)
)

// Rules about the gateway's ledger.
var (
	strangeMoney  = rule("no money moves for an order that nobody was promised", Choreography)
	chargedTwice  = rule("an order is charged once, says the ledger", ChargedTwice)
	refundedTwice = rule("an order is refunded once, says the ledger", RefundedTwice)
	unknownCharge = rule("the log knows every charge", Lost)
	noCharge      = rule("what the log calls charged is charged", Choreography)
	unknownRefund = rule("the log knows every refund", Lost)
	noRefund      = rule("what the log calls refunded is refunded", Choreography)
	earlyMoney    = rule("no money moves before there was a reason", Misordered)
	goneCharged   = rule("nobody is charged at the word of a log that is gone", ChargedTwice)
	goneRefunded  = rule("nobody is refunded at the word of a log that is gone", RefundedTwice)
)

// Rules about the mailbox.
var (
	sharedID    = rule("a Message-ID is of one fact", Choreography)
	lostMail    = rule("a mail that was sent is in the mailbox", Lost)
	mailsSwap   = rule("an order's mails come in the order of their causes", Misordered)
	earlyMail   = rule("a mail comes after what it tells about", Misordered)
	strangeMail = rule("the log knows every mail", MailedTwice)
	mailedTwice = rule("nobody is told the same under two Message-IDs", MailedTwice)
)

// Rules about dead letters.
var (
	unexplained = rule("only poison, what is deferred, and what waits behind either is parked", UnexplainedLetter)
	swallowed   = rule("poison is parked by all who read it", Lost)
	overtaken   = rule("nobody answers what lies behind a dead letter", Misordered)
	neverClosed = rule("a request about dead letters is closed", Stuck)
	closedTwice = rule("a request about dead letters is closed once", Choreography)
	backTwice   = rule("a dead letter comes back once", Choreography)
)

// Rules about the read model.
var (
	unread    = rule("an order is in the read model", ReadModel)
	differs   = rule("the read model is a fold of the log", ReadModel)
	refused   = rule("an order can be read", ReadModel)
	wrongRead = rule("a customer reads what the log says", ReadModel)
	listed    = rule("an order is listed once", ReadModel)
)
