package httpapi_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/troupe-dev/troupe/pkg/deadletter"
	"github.com/troupe-dev/troupe/services/console/internal/consoletest"
	"github.com/troupe-dev/troupe/services/console/internal/httpapi"
)

// answers plays payment for many orders: those in fails fail again.
func (d *desk) answers(letters map[string][]string, fails map[string]bool) (asked func() map[string]int, stop func()) {
	var mu sync.Mutex
	counts := map[string]int{}
	of := map[string]func(deadletter.Request) []deadletter.Record{}
	for id, ids := range letters {
		if fails[id] {
			of[id] = comesBack(ids, ids[0])
		} else {
			of[id] = comesBack(ids)
		}
	}
	stop = d.Answer("payment", func(q deadletter.Request) []deadletter.Record {
		mu.Lock()
		defer mu.Unlock()
		counts[q.Order]++
		return of[q.Order](q)
	})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		copied := map[string]int{}
		for id, n := range counts {
			copied[id] = n
		}
		return copied
	}, stop
}

// many parks n orders of a class.
func (d *desk) many(n int, name, class string) (letters map[string][]string) {
	d.T.Helper()
	letters = map[string][]string{}
	for i := range n {
		story := d.Confirmed(consoletest.ID(fmt.Sprint(name, i)), "c-1")
		letters[string(story[0].Key)] = d.Park("payment", class, fmt.Sprintf("order %d: %s", i, class), story[0], story[2])
	}
	d.Caught()
	return letters
}

// ended waits for the end of a job.
func (d *desk) ended(id string) (j httpapi.Job) {
	d.T.Helper()
	consoletest.Eventually(d.T, func() string {
		if j = get[httpapi.Job](d, "/jobs/"+id); j.State == httpapi.JobStateRunning {
			return fmt.Sprintf("%+v", j)
		}
		return ""
	})
	return j
}

func TestDryRunSaysWhatWouldBeDone(t *testing.T) {
	d := open(t)
	d.many(130, "a", "invalid")
	d.many(3, "b", "permanent")
	for body, want := range map[string]string{
		`"all":true`:                      "133 266 2",
		`"class":"permanent"`:             "3 6 1",
		`"class":"invalid","limit":7`:     "7 14 1",
		`"participant":"order"`:           "0 0 0",
		`"type":"OrderPlaced","limit":99`: "99 198 1",
	} {
		run, _ := do[httpapi.DryRun](d, "POST", "/redrive", `{"by":"ada.l","dry_run":true,`+body+`}`, 200)
		if got := fmt.Sprint(run.Orders, run.Letters, len(run.Reasons)); got != want {
			t.Errorf("%s: %s, not %s", body, got, want)
		}
	}
	run, _ := do[httpapi.DryRun](d, "POST", "/discard", `{`+by+`,"dry_run":true,"all":true}`, 200)
	if r := run.Reasons[0]; run.Letters != 133 || r.Message != "order …: invalid" || r.Orders != 130 || r.Type != "troupe.order.v1.OrderPlaced" {
		t.Errorf("%+v", run)
	}
	if n := len(d.Log.ReadTopic(deadletter.RedriveTopic("payment"))); n != 0 {
		t.Errorf("%d requests were made", n)
	}
}

func TestRedriveInBulk(t *testing.T) {
	d := open(t)
	letters := d.many(120, "a", "invalid")
	others := d.many(2, "b", "permanent")
	bad := consoletest.ID("a3")
	asked, _ := d.answers(letters, map[string]bool{bad: true})
	job, h := do[httpapi.Job](d, "POST", "/redrive", `{`+by+`,"class":"invalid","rate":1000}`, http.StatusAccepted)
	if job.Total != 120 || h.Get("Location") != "/api/dead-letters/jobs/"+job.ID || job.By != "ada.l" || job.Class != "invalid" {
		t.Errorf("%+v", job)
	}
	job = d.ended(job.ID)
	if job.State != httpapi.JobStateFinished || job.Done != 119 || job.Failed != 1 || job.PassedOver != 0 || job.Waiting != 0 || job.EndedAt.IsZero() {
		t.Errorf("%+v", job)
	}
	for id := range letters {
		if n := asked()[id]; n != 1 {
			t.Errorf("order %s was asked for %d times", id, n)
		}
	}
	for id := range others {
		if asked()[id] != 0 {
			t.Errorf("order %s of another class was asked for", id)
		}
	}
	d.Caught()
	if g := get[httpapi.Groups](d, "/groups?class=conflict"); g.Orders != 1 || g.Letters != 2 {
		t.Errorf("%+v", g)
	}
	// The one that fails is passed over when it failed often, unless forced.
	for range 4 {
		job, _ := do[httpapi.Job](d, "POST", "/redrive", `{"by":"ada.l","order_id":"`+bad+`"}`, http.StatusAccepted)
		if job = d.ended(job.ID); job.Failed != 1 {
			t.Fatalf("%+v", job)
		}
	}
	for body, want := range map[string]string{`"class":"conflict"`: "0 1", `"class":"conflict","force":true`: "1 0"} {
		job, _ := do[httpapi.Job](d, "POST", "/redrive", `{"by":"ada.l",`+body+`}`, http.StatusAccepted)
		if job = d.ended(job.ID); fmt.Sprint(job.Failed, job.PassedOver) != want {
			t.Errorf("%s: %+v", body, job)
		}
	}
	run, _ := do[httpapi.DryRun](d, "POST", "/redrive", `{"by":"ada.l","class":"conflict","dry_run":true}`, 200)
	if run.PassedOver != 1 || run.Orders != 0 {
		t.Errorf("%+v", run)
	}
}

// Heads are discarded, each chain's once, though its next head passes the filter too; what stands behind waits on.
func TestDiscardInBulk(t *testing.T) {
	d := open(t)
	letters := d.many(130, "a", "invalid")
	asked, _ := d.answers(letters, nil)
	job, _ := do[httpapi.Job](d, "POST", "/discard", `{`+by+`,"participant":"payment","limit":4,"rate":1000}`, http.StatusAccepted)
	if job = d.ended(job.ID); job.Done != 4 || job.Total != 4 || job.Action != httpapi.JobActionDiscard {
		t.Errorf("%+v", job)
	}
	d.Caught()
	if g := get[httpapi.Groups](d, "/groups?class=behind"); g.Orders != 4 || g.Letters != 4 {
		t.Errorf("%+v", g)
	}
	before := asked()
	job, _ = do[httpapi.Job](d, "POST", "/discard", `{`+by+`,"participant":"payment","rate":1000}`, http.StatusAccepted)
	if job = d.ended(job.ID); job.Done != 130 {
		t.Errorf("%+v", job)
	}
	for id := range letters {
		if n := asked()[id] - before[id]; n != 1 {
			t.Errorf("order %s was asked for %d times", id, n)
		}
	}
}

func TestJobsAreBoundedAndCancelled(t *testing.T) {
	d := open(t)
	d.many(30, "a", "invalid") // nobody answers
	var jobs []string
	for i := range 8 {
		job, _ := do[httpapi.Job](d, "POST", "/redrive", fmt.Sprintf(`{"by":"ada.l","order_id":"%s","rate":1000}`, consoletest.ID(fmt.Sprint("a", i))), http.StatusAccepted)
		jobs = append(jobs, job.ID)
	}
	if got := refused(d, "POST", "/redrive", `{"by":"ada.l","order_id":"`+consoletest.ID("a0")+`"}`, 409); got != "job-running" {
		t.Error(got)
	}
	if got := refused(d, "POST", "/redrive", `{"by":"ada.l","all":true}`, 503); got != "unavailable" {
		t.Error(got)
	}
	for _, id := range jobs {
		consoletest.Eventually(t, func() string {
			if j := get[httpapi.Job](d, "/jobs/"+id); j.Waiting != 1 {
				return fmt.Sprintf("%+v", j)
			}
			return ""
		})
		if j, _ := do[httpapi.Job](d, "DELETE", "/jobs/"+id, "", 200); j.State != httpapi.JobStateCancelled || j.Waiting != 1 {
			t.Errorf("%+v", j)
		}
	}
	// A slow one is stopped in the middle.
	job, _ := do[httpapi.Job](d, "POST", "/redrive", `{"by":"ada.l","all":true,"rate":1}`, http.StatusAccepted)
	if j, _ := do[httpapi.Job](d, "DELETE", "/jobs/"+job.ID, "", 200); j.State != httpapi.JobStateCancelled || j.Waiting > 1 {
		t.Errorf("%+v", j)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := refused(d, method, "/jobs/unheard-of", "", 404); got != "not-found" {
			t.Error(got)
		}
	}
	if got := refused(d, "DELETE", "/jobs/"+job.ID, "", 403, "Sec-Fetch-Site", "cross-site"); got != "cross-origin" {
		t.Error(got)
	}
	for i := range 110 { // finished ones are forgotten at some time
		job, _ := do[httpapi.Job](d, "POST", "/redrive", fmt.Sprintf(`{"by":"ada.l","order_id":"none-%d"}`, i), http.StatusAccepted)
		if j := d.ended(job.ID); j.State != httpapi.JobStateFinished || j.Total != 0 {
			t.Fatalf("%+v", j)
		}
	}
	refused(d, "GET", "/jobs/"+jobs[0], "", 404)
}
