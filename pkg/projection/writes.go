package projection

import (
	"slices"
	"strconv"

	"github.com/troupe-dev/troupe/pkg/taskstore"
)

// Op is one Redis command on one key of the task. Key is the part after the hash tag: "status:placed".
type Op = taskstore.Op

// opArgs bounds the arguments of one command in a script: Lua unpacks them on its stack. It is even, for pairs.
const opArgs = 1000

// Name is what Text, Of and, unless it is 0, N say one after the other: a name that is made of parts need not be
// put together to be looked for.
type Name struct {
	Text, Of string
	N        int64
}

func (n Name) String() string { return string(n.append(nil)) }

func (n Name) append(text []byte) []byte {
	text = append(append(text, n.Text...), n.Of...)
	if n.N != 0 {
		text = strconv.AppendInt(text, n.N, 10)
	}
	return text
}

// Writes collects what documents add to indexes and counters in a step, in few commands: in a script, a command
// costs more than what it does. What is written must be a sum over the documents, so the order among commands is
// free; what clears up (expiry, zeros) follows what it is about. Keys are those after the hash tag:
// "status:placed".
type Writes struct {
	prefix   string // of the keys in the store
	at       map[target]int
	commands []command
	next     int    // documents add the same things one after the other: what comes is mostly this command
	text     []byte // of numbers and names
}

// target is what can be put into one command.
type target struct {
	cmd        string
	key, field Name
}

type command struct {
	target
	args []arg
	name arg // of the key in the store
	sum  int64
	// last: it follows all others.
	last bool
}

// arg is a text, or where it is in that of all.
type arg struct {
	text     string
	from, to int
}

// Add puts a member into a sorted set, or changes its score.
func (w *Writes) Add(key Name, member string, score int64) {
	c := w.command(target{cmd: "ZADD", key: key}, 2)
	c.args = append(c.args, w.number(score), arg{text: member})
}

// Remove takes a member out of a sorted set.
func (w *Writes) Remove(key Name, member string) {
	c := w.command(target{cmd: "ZREM", key: key}, 1)
	c.args = append(c.args, arg{text: member})
}

// Count adds to a field of a hash.
func (w *Writes) Count(key, field Name, n int64) {
	w.command(target{"HINCRBY", key, field}, 0).sum += n
}

// Rank adds to the score of a member of a sorted set, which holds what is not zero.
func (w *Writes) Rank(key, member Name, n int64) {
	w.command(target{"ZINCRBY", key, member}, 0).sum += n
	w.finally(target{cmd: "ZREMRANGEBYSCORE", key: key}, "0", "0")
}

// Expire lets a key end at a Unix second.
func (w *Writes) Expire(key Name, at int64) {
	w.finally(target{"EXPIREAT", key, Name{N: at}})
}

// finally adds a command that comes after what it is about, once.
func (w *Writes) finally(t target, args ...string) {
	if _, ok := w.at[t]; ok {
		return
	}
	c := w.command(t, 0)
	c.last = true
	for _, text := range args {
		c.args = append(c.args, arg{text: text})
	}
	if t.field.N != 0 {
		c.args = append(c.args, w.number(t.field.N))
	}
}

// command returns the one for a target that has room for so many more arguments.
func (w *Writes) command(t target, more int) *command {
	i := w.next
	if !w.fits(i, t, more) {
		i = w.at[t]
	}
	if w.fits(i, t, more) {
		w.next = i + 1
		return &w.commands[i]
	}
	w.next++ // what stood there is of the document before alone
	n := len(w.commands)
	w.at[t] = n
	if n == cap(w.commands) {
		w.commands = append(w.commands, command{})
	}
	w.commands = w.commands[:n+1] // with the memory for arguments that the place had in an earlier step
	c := &w.commands[n]
	*c = command{target: t, args: c.args[:0]}
	return c
}

func (w *Writes) fits(i int, t target, more int) bool {
	return i < len(w.commands) && w.commands[i].target == t && len(w.commands[i].args)+more <= opArgs
}

func (w *Writes) number(n int64) arg {
	from := len(w.text)
	w.text = strconv.AppendInt(w.text, n, 10)
	return arg{from: from, to: len(w.text)}
}

func (w *Writes) name(prefix string, n Name) arg {
	from := len(w.text)
	w.text = n.append(append(w.text, prefix...))
	return arg{from: from, to: len(w.text)}
}

// Begin forgets what was collected. Keys get this prefix in the store.
func (w *Writes) Begin(prefix string) *Writes {
	if w.at == nil {
		w.at = map[target]int{}
	}
	clear(w.at)
	w.prefix, w.commands, w.next, w.text = prefix, w.commands[:0], 0, w.text[:0]
	return w
}

// Ops adds the commands to others. All their arguments lie in one slice, and all that had to be written in one text.
func (w *Writes) Ops(to []Op) []Op {
	args := 0
	for i := range w.commands {
		c := &w.commands[i]
		c.name = w.name(w.prefix, c.key)
		switch c.cmd {
		case "HINCRBY":
			c.args = append(c.args, w.name("", c.field), w.number(c.sum))
		case "ZINCRBY":
			c.args = append(c.args, w.number(c.sum), w.name("", c.field))
		}
		args += len(c.args)
	}
	all, slab := string(w.text), make([]string, 0, args)
	to = slices.Grow(to, len(w.commands))
	of := func(a arg) string {
		if a.to > 0 {
			return all[a.from:a.to]
		}
		return a.text
	}
	for _, last := range []bool{false, true} {
		for i := range w.commands {
			c := &w.commands[i]
			if c.last != last {
				continue
			}
			from := len(slab)
			for _, a := range c.args {
				slab = append(slab, of(a))
			}
			to = append(to, Op{Cmd: c.cmd, Key: of(c.name), Args: slab[from:len(slab):len(slab)]})
		}
	}
	return to
}
