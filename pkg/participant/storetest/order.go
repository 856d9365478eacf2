package storetest

import (
	"encoding/binary"
	"strings"
)

// Order finds what is kept of an order among the hashes of its task, by their names without the hash tag. It returns the name of the hash
// that holds it and the fields of its text; both are empty where nothing is kept.
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

// readFields reads names and values, each behind its length and one.
func readFields(text string) map[string]string {
	fields := map[string]string{}
	var parts []string
	for b := []byte(text); len(b) > 0; {
		n, size := binary.Uvarint(b)
		if size <= 0 || n == 0 || n-1 > uint64(len(b)-size) {
			return nil
		}
		end := size + int(n) - 1
		parts, b = append(parts, string(b[size:end])), b[end:]
	}
	for i := 0; i+1 < len(parts); i += 2 {
		fields[parts[i]] = parts[i+1]
	}
	return fields
}
