package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/troupe-dev/troupe/services/troupe/internal/play"
)

// A demo stack has no directory: then URLs say where to play, or the documented ports do.
func TestDemoFindsItsStage(t *testing.T) {
	dir, whole := t.TempDir(), play.Playground{Order: "http://o", Query: "http://q", Gateway: "http://g", Mailbox: "http://m"}
	text, err := json.Marshal(whole)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "playground.json"), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := play.Playground{Order: "http://elsewhere", Query: "http://there"}
	ports := play.Playground{
		Order: "http://127.0.0.1:8081", Query: "http://127.0.0.1:8084", Console: "http://127.0.0.1:8080",
		Gateway: "http://127.0.0.1:8090", Mailbox: "http://127.0.0.1:8025",
	}
	for name, c := range map[string]struct {
		dir        string
		said, want play.Playground
		fails      bool
	}{
		"playground":          {dir: dir, want: whole},
		"stack on its ports":  {dir: t.TempDir(), want: ports},
		"by URLs":             {dir: dir, said: elsewhere, want: elsewhere},
		"order without query": {dir: dir, said: play.Playground{Order: "http://o"}, fails: true},
		"ledger of nobody":    {dir: dir, said: play.Playground{Gateway: "http://g"}, fails: true},
	} {
		t.Setenv("TROUPE_DIR", c.dir)
		got, err := stage(c.said)
		var usage usageError
		if errors.As(err, &usage) != c.fails || !c.fails && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}
