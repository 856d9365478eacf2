package problem_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/problem"
)

// An API answers with an error; its client reads an error of the same class.
func Example() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r, errors.Join(
			fault.Field("/lines/0/quantity", "must be at least 1"), fault.Field("/currency", "is required")))
	}))
	defer api.Close()
	resp, err := http.Get(api.URL + "/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	err = problem.Read(resp)
	fmt.Println(resp.Status, "|", fault.ClassOf(err))
	fmt.Println(err)
	// Output:
	// 400 Bad Request | invalid
	// 2 fields are not valid
	//   /lines/0/quantity: must be at least 1
	//   /currency: is required
}
