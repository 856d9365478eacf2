package check

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Settle has times by rank, from facts of the log.
type Settle struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// SettleOf says how long some of the orders took; those that did not settle are left out.
func (r *Report) SettleOf(orders []Expected) Settle {
	var took []time.Duration
	for _, e := range orders {
		if d, ok := r.took[e.ID]; ok {
			took = append(took, d)
		}
	}
	if len(took) == 0 {
		return Settle{}
	}
	slices.Sort(took)
	at := func(share float64) time.Duration { return took[int(share*float64(len(took)-1))] }
	return Settle{at(.5), at(.99), at(1)}
}

// Report is what was found. Everything is right when Violations is empty.
type Report struct {
	// Orders that were answered with 202, and how they ended.
	Orders    int `json:"orders"`
	Confirmed int `json:"confirmed"`
	Cancelled int `json:"cancelled"`
	// TimedOut are those of the cancelled whose payment came too late.
	TimedOut int `json:"timed_out"`
	// Settle is how long the orders took from placed to settled.
	Settle Settle `json:"settle"`

	Charges  int `json:"charges"`
	Declines int `json:"declines"`
	Refunds  int `json:"refunds"`
	// ChargesPerOrder and RefundsPerCancelled say how many orders have so many; the latter of paid and cancelled
	// orders.
	ChargesPerOrder     map[int]int `json:"charges_per_order"`
	RefundsPerCancelled map[int]int `json:"refunds_per_cancelled_payment"`

	// Mails are different ones by Message-ID, MailCopies the further copies of the same; CopiesPerMail says how many
	// mails are there so many times.
	Mails         int         `json:"mails"`
	MailCopies    int         `json:"mail_copies"`
	CopiesPerMail map[int]int `json:"copies_per_mail"`

	// Records of the topics of facts: all, copies, void ones, and those that were put there as poison.
	Records       int `json:"records"`
	RecordCopies  int `json:"record_copies"`
	VoidedRecords int `json:"voided_records"`
	PoisonRecords int `json:"poison_records"`
	// DeadLetters counts letters, ExplainedLetters those that poison has made.
	DeadLetters      int `json:"dead_letters"`
	ExplainedLetters int `json:"explained_letters"`
	// Requests to bring letters back or discard them, and the letters that this was done to.
	Requests    int `json:"redrive_requests"`
	LettersBack int `json:"letters_back"`

	Violations []Violation `json:"violations"`

	took map[string]time.Duration // by order
	k    *Checker
}

// Violation adds one that others than the checker have seen.
func (r *Report) Violation(g Guarantee, order, format string, args ...any) {
	r.add(Violation{Guarantee: g, Order: order, Text: fmt.Sprintf(format, args...)})
}

func (r *Report) add(found ...Violation) { r.Violations = append(r.Violations, found...) }

// Tell writes what is wrong with an order and what the log holds about it, every record in the order of its time.
func (r *Report) Tell(w io.Writer, order string) {
	fmt.Fprintf(w, "order %s\n", order)
	for _, v := range r.Violations {
		if v.Order == order {
			fmt.Fprintf(w, "  ! %s: %s\n", v.Guarantee, v.Text)
		}
	}
	if r.k != nil {
		r.k.Order(order).tell(w)
	}
}

// Of returns the violations of one guarantee.
func (r *Report) Of(g Guarantee) []Violation {
	var of []Violation
	for _, v := range r.Violations {
		if v.Guarantee == g {
			of = append(of, v)
		}
	}
	return of
}

func (r *Report) sort() {
	slices.SortFunc(r.Violations, func(a, b Violation) int {
		return cmp.Or(slices.Index(Guarantees, a.Guarantee)-slices.Index(Guarantees, b.Guarantee),
			cmp.Compare(a.Order, b.Order), cmp.Compare(a.Text, b.Text))
	})
}

// maxShown bounds what String says of the violations of one guarantee; a broken run has thousands.
const maxShown = 10

func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "orders %d: %d confirmed, %d cancelled (%d because their payment came too late)\n",
		r.Orders, r.Confirmed, r.Cancelled, r.TimedOut)
	ms := func(d time.Duration) string { return d.Round(time.Millisecond).String() }
	fmt.Fprintf(&b, "settled after %s (half of them), %s (99 of 100), %s (all)\n", ms(r.Settle.P50), ms(r.Settle.P99), ms(r.Settle.Max))
	fmt.Fprintf(&b, "ledger: %d charges (%s per order), %d declines, %d refunds (%s per cancelled payment)\n",
		r.Charges, histogram(r.ChargesPerOrder), r.Declines, r.Refunds, histogram(r.RefundsPerCancelled))
	fmt.Fprintf(&b, "mails: %d, and %d copies with the same Message-ID\n", r.Mails, r.MailCopies)
	fmt.Fprintf(&b, "log: %d records, %d of them copies, %d void, %d poison; %d dead letters, %d of them explained\n",
		r.Records, r.RecordCopies, r.VoidedRecords, r.PoisonRecords, r.DeadLetters, r.ExplainedLetters)
	if r.Requests > 0 {
		fmt.Fprintf(&b, "requests to redrive or discard: %d, letters brought back or discarded: %d\n", r.Requests, r.LettersBack)
	}
	fmt.Fprintf(&b, "violations: %d\n", len(r.Violations))
	for _, g := range Guarantees {
		of := r.Of(g)
		for _, v := range of[:min(len(of), maxShown)] {
			fmt.Fprintf(&b, "  %s\n", v)
		}
		if more := len(of) - maxShown; more > 0 {
			fmt.Fprintf(&b, "  %s: and %d more\n", g, more)
		}
	}
	return b.String()
}

// histogram is like "0×12 1×988".
func histogram(m map[int]int) string {
	var parts []string
	for _, n := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%d×%d", n, m[n]))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, " ")
}
