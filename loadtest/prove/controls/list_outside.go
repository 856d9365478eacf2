package main

import "github.com/troupe-dev/troupe/schemas/check"

// outside: what the services stand on says nothing, or something else than before; and who may ask.
var outside = []Control{
	{
		ID: "door-waits-for-ever", Without: "a door waits for the store as long as that takes", Breaks: disposable,
		Proof:  Proof{silent, []check.Guarantee{check.Stuck}},
		Edits:  []Edit{{"pkg/participant/admission/admission.go", `context.WithTimeout(ctx, max(within, admitWithin))`, `context.WithCancel(ctx)`}},
		Unseen: inDoor,
	},
	{
		ID: "any-clock-is-right", Without: "deadlines are decided whatever other clocks say", Breaks: toldRight,
		Proof:  Proof{skewed, []check.Guarantee{check.Choreography}},
		Edits:  []Edit{{"pkg/clock/clock.go", `case witness == "" && heard:`, `case heard || true:`}},
		Unseen: oneWorld,
	},
	{
		ID: "a-topic-is-its-name", Without: "what is kept counts for whatever log has the name", Breaks: disposable,
		Proof: Proof{anew, []check.Guarantee{check.Stuck, check.Lost, check.Choreography}},
		Edits: []Edit{
			{"pkg/task/topics.go", `if p.logs[topic] != id {`, `if p.logs[topic] != id && false {`},
			{"pkg/task/partition.go", `if was == id {`, `if was == id || true {`},
			{"pkg/task/takeover.go", `case kept && at > in.End:`, `case false:`},
		},
		Unseen: oneWorld,
	},
	{
		ID: "any-name-is-the-doors", Without: "a door answers to every name", Breaks: ownPages,
		Proof:  Proof{foreign, []check.Guarantee{check.Choreography}},
		Edits:  []Edit{{"pkg/httpdoor/guard.go", `case !c.knows(r.Host):`, `case false:`}},
		Unseen: inDoor,
	},
	{
		ID: "any-origin-is-the-doors", Without: "a page of any site changes something", Breaks: ownPages,
		Proof: Proof{foreign, []check.Guarantee{check.Choreography}},
		Edits: []Edit{{"pkg/httpdoor/guard.go", `	origins := http.NewCrossOriginProtection()
`, `	origins := http.NewCrossOriginProtection()
	origins.AddInsecureBypassPattern("/")
`}},
		Unseen: inDoor,
	},
}

const (
	inDoor   = "the door's: the simulation has none"
	oneWorld = "the simulation has one clock, and logs that stay"
)
