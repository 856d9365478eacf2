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
	at, sums := map[target]int{}, map[int]int64{} // places in out
	var out, last []Op
	for _, op := range ops {
		t, n := target{cmd: op.Cmd, key: op.Key}, int64(0)
		switch op.Cmd {
		case "ZADD", "ZREM":
			if i, ok := at[t]; ok && len(out[i].Args)+len(op.Args) <= opArgs {
				out[i].Args = append(out[i].Args, op.Args...)
				continue
			}
		case "HINCRBY", "ZINCRBY":
			field, by := fieldAndSum(op.Cmd)
			t.field = op.Args[field]
			n, _ = strconv.ParseInt(op.Args[by], 10, 64) // Index wrote it
			if i, ok := at[t]; ok {
				sums[i] += n
				continue
			}
			sums[len(out)] = n
		case "EXPIREAT", "ZREMRANGEBYSCORE":
			if !slices.ContainsFunc(last, func(l Op) bool { return l.Cmd == op.Cmd && l.Key == op.Key && slices.Equal(l.Args, op.Args) }) {
				last = append(last, op)
			}
			continue
		}
		at[t] = len(out)
		op.Args = slices.Clone(op.Args) // to be written to
		out = append(out, op)
	}
	for i, n := range sums {
		_, by := fieldAndSum(out[i].Cmd)
		out[i].Args[by] = strconv.FormatInt(n, 10)
	}
	return append(out, last...)
}

// fieldAndSum says which argument of an increment is which.
func fieldAndSum(cmd string) (field, sum int) {
	if cmd == "ZINCRBY" {
		return 1, 0
	}
	return 0, 1
}
