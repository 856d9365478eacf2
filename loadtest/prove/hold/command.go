package hold

import (
	"regexp"
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

func (c Command) is(name string) bool { return len(c.Args) > 0 && strings.EqualFold(c.Args[0], name) }

// script returns the keys and arguments of EVALSHA and EVAL.
func (c Command) script() (keys, args []string) {
	if len(c.Args) < 3 || !c.is("EVALSHA") && !c.is("EVAL") {
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
	return len(keys) == 1 && len(args) == 1 && meta.MatchString(keys[0])
}

// meta is the key that holds the owner of a task; the read model has it in each copy (docs/adr/0012).
var meta = regexp.MustCompile(`\}:(~[a-z0-9]+:)?meta$`)

// Change returns what the script that applies a change would do; nil for everything else, comparisons too.
func (c Command) Change() []Op {
	keys, args := c.script()
	if len(args) < 6 || !meta.MatchString(keys[0]) {
		return nil
	}
	key, err := strconv.Atoi(args[4]) // the keys that are counted come first
	if err != nil {
		return nil
	}
	var ops []Op
	rest := args[5:]
	for _, part := range opInScript.FindAllStringSubmatch(args[3], -1) {
		if part[2] == "+" {
			key++
		}
		n, err := strconv.Atoi(part[3])
		if err != nil || key >= len(keys) || n > len(rest) {
			return nil
		}
		ops = append(ops, Op{part[1], keys[key], rest[:n]})
		rest = rest[n:]
	}
	return ops
}

// opInScript is one command in the list that the script gets: its name, + for the next key or = for the same one, how many arguments.
var opInScript = regexp.MustCompile(`([A-Z]+)([+=])([0-9]+)`)

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
