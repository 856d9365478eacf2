package readmodel_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/pkg/view/viewtest"
	"github.com/troupe-dev/troupe/services/query/internal/querytest"
)

// The longest ordinary story of one order: confirmed, cancelled, refunded, three mails, one line.
func TestOrderTakesFewBytes(t *testing.T) {
	orders := 300
	if os.Getenv("TEST_REDIS_ADDR") != "" {
		orders = 2000 // so many that what Redis takes for itself does not show
	}
	s := querytest.New(t)
	for i := range orders {
		s.Put(s.Refunded(viewtest.ID(strconv.Itoa(i)), fmt.Sprint("c-", i%500))...)
	}
	before := usedMemory(t, s)
	stop := s.Play()
	s.Caught()
	stop()
	var bytes int64
	for i := range orders {
		id := viewtest.ID(strconv.Itoa(i))
		n, err := s.Redis.StrLen(t.Context(), fmt.Sprintf("{query:%d}:order:%s", s.Model.Partition(id), id)).Result()
		if err != nil {
			t.Fatal(err)
		}
		bytes += n
	}
	if per := bytes / int64(orders); per == 0 || per > 1300 {
		t.Errorf("a document has %d bytes", per)
	} else {
		t.Logf("a document has %d bytes", per)
	}
	if os.Getenv("TEST_REDIS_ADDR") == "" {
		t.Log("memory with indexes: not measured (the embedded Redis has no figure for it)")
		return
	}
	per := (usedMemory(t, s) - before) / int64(orders)
	t.Logf("an order takes %d bytes of Redis's memory, indexes included", per)
	if per > 2048 {
		t.Errorf("an order takes %d bytes of Redis's memory", per)
	}
}

func usedMemory(t *testing.T, s *querytest.Stage) int64 {
	t.Helper()
	if os.Getenv("TEST_REDIS_ADDR") == "" {
		return 0
	}
	info, err := s.Redis.Info(t.Context(), "memory").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(info, "used_memory:")
	text, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
