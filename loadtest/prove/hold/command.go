package hold

import (
	"strconv"
	"strings"
)

// Command is one Redis command.
type Command struct {
	Client string
	// Args begin with the command's name.
	Args []string
}

// Op is one command inside the script that applies a change.
type Op struct {
	Cmd, Key string
	Args     []string
}

// script returns the keys and arguments of EVALSHA and EVAL.
func (c Command) script() (keys, args []string) {
	if len(c.Args) < 3 || !strings.EqualFold(c.Args[0], "EVALSHA") && !strings.EqualFold(c.Args[0], "EVAL") {
		return nil, nil
	}
	n, err := strconv.Atoi(c.Args[2])
	if err != nil || n < 0 || 3+n > len(c.Args) {
		return nil, nil
	}
	return c.Args[3 : 3+n], c.Args[3+n:]
}

// Task says whose task a script is about, by the hash tag of its first key, such as {payment:7}.
func (c Command) Task() (service string, partition int, ok bool) {
	keys, _ := c.script()
	if len(keys) == 0 || !strings.HasPrefix(keys[0], "{") {
		return "", -1, false
	}
	tag, _, _ := strings.Cut(keys[0][1:], "}")
	service, number, _ := strings.Cut(tag, ":")
	partition, err := strconv.Atoi(number)
	return service, partition, err == nil
}

// Claim is true for the script that makes somebody the owner of a task (and for the first one of a reset, which follows it).
func (c Command) Claim() bool {
	keys, args := c.script()
	return len(keys) == 1 && len(args) == 1 && strings.HasSuffix(keys[0], "}:meta")
}

// Change returns what the script that applies a change would do; nil for everything else, comparisons too.
func (c Command) Change() []Op {
	keys, args := c.script()
	if len(args) < 6 || !strings.HasSuffix(keys[0], "}:meta") {
		return nil
	}
	var ops []Op
	for args = args[3:]; len(args) >= 3; {
		key, kerr := strconv.Atoi(args[1])
		n, err := strconv.Atoi(args[2])
		if kerr != nil || err != nil || key < 1 || key > len(keys) || n < 0 || 3+n > len(args) {
			return nil
		}
		ops = append(ops, Op{args[0], keys[key-1], args[3 : 3+n]})
		args = args[3+n:]
	}
	return ops
}

// Decides is true for a change that puts something into the outbox.
func (c Command) Decides() bool { return c.changes("RPUSH", "}:outbox") }

// Settles is true for a change that takes what is in Kafka out of the outbox.
func (c Command) Settles() bool { return c.changes("LTRIM", "}:outbox") }

func (c Command) changes(cmd, key string) bool {
	for _, op := range c.Change() {
		if op.Cmd == cmd && strings.HasSuffix(op.Key, key) {
			return true
		}
	}
	return false
}

// done says by its answer whether the command has happened: not on an error, nor when a change was refused.
func (c Command) done(answer []byte) bool {
	return answer[0] != '-' && (c.Change() == nil || string(answer) == ":0\r\n")
}

func (c Command) hit() Hit {
	h := Hit{Client: c.Client, Partition: -1, What: strings.Join(c.Args[:min(2, len(c.Args))], " ")}
	if service, partition, ok := c.Task(); ok {
		h.Partition = partition
		h.What = c.Args[0] + " {" + service + ":" + strconv.Itoa(partition) + "}"
	}
	return h
}
