package projection

import (
	"slices"
	"strconv"
)

// opArgs bounds the arguments of one command in a script: Lua unpacks them on its stack. It is even, for pairs.
const opArgs = 1000

// merged returns what a step writes to indexes and counters in few commands: in a script, a command costs more than what it does. Index
// promises a sum over the documents, so the order among them is free; what clears up (expiry, zeros) follows what it is about.
func merged(ops []Op) []Op {
	type target struct{ cmd, key, field string }
	at, sums := map[target]int{}, map[target]int64{}
	var out, last []Op
	for _, op := range ops {
		t := target{cmd: op.Cmd, key: op.Key}
		switch op.Cmd {
		case "ZADD", "ZREM":
			if i, ok := at[t]; ok && len(out[i].Args)+len(op.Args) <= opArgs {
				out[i].Args = append(out[i].Args, op.Args...)
				continue
			}
			op.Args = slices.Clone(op.Args) // to be appended to
		case "HINCRBY", "ZINCRBY":
			field, by := 0, 1
			if op.Cmd == "ZINCRBY" {
				field, by = 1, 0
			}
			n, err := strconv.ParseInt(op.Args[by], 10, 64)
			if err != nil {
				break // for the store to refuse
			}
			t.field = op.Args[field]
			sums[t] += n
			if i, ok := at[t]; ok {
				out[i].Args[by] = strconv.FormatInt(sums[t], 10)
				continue
			}
			op.Args = slices.Clone(op.Args)
		case "EXPIREAT", "ZREMRANGEBYSCORE":
			if !slices.ContainsFunc(last, func(l Op) bool { return l.Cmd == op.Cmd && l.Key == op.Key && slices.Equal(l.Args, op.Args) }) {
				last = append(last, op)
			}
			continue
		}
		at[t] = len(out)
		out = append(out, op)
	}
	return append(out, last...)
}
