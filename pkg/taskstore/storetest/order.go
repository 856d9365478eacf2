package storetest

import (
	"strings"

	"github.com/troupe-dev/troupe/pkg/pack"
)

// Order finds what is kept of an order among the hashes of its task, by their names without the hash tag. It returns
// the name of the hash that holds it and the fields of its text; both are empty where nothing is kept.
func Order(id string, hashes map[string]map[string]string) (hash string, fields map[string]string) {
	for name, orders := range hashes {
		text, ok := orders[id]
		if !ok || !strings.HasPrefix(name, "orders:") || hash > name { // the one for orders with letters sorts last
			continue
		}
		hash, fields = name, readFields(text)
	}
	return hash, fields
}

// readFields reads names and values; nil where the text is none.
func readFields(text string) map[string]string {
	fields := map[string]string{}
	r := pack.Read(text)
	for !r.Ended() {
		name := r.Text()
		fields[name] = r.Text()
	}
	if r.Err() != nil {
		return nil
	}
	return fields
}
