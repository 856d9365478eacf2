package simulation

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/troupe-dev/troupe/pkg/taskstore/storetest"
	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"
)

// redisMemory is as much of Redis as the engine asks for, without a network and with its Lua state kept: a thousand
// schedules need a hundred thousand scripts. It keeps the contract of the store (TestRedisKeepsTheContract).
type redisMemory struct {
	mu      sync.Mutex
	data    map[string]any // map[string]string, []string, map[string]float64 or string
	vm      *lua.LState
	scripts map[string]string // by SHA-1
}

// redisError is an error that the server answered.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func newRedis() *redisMemory {
	m := &redisMemory{data: map[string]any{}, scripts: map[string]string{}, vm: lua.NewState()}
	m.vm.SetGlobal("redis", m.vm.SetFuncs(m.vm.NewTable(), map[string]lua.LGFunction{"call": m.call}))
	return m
}

// client returns a client of which every command goes through run, which may do or refuse it.
func (m *redisMemory) client(run func(cmds []redis.Cmder, do func(redis.Cmder)) error) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) // never dialled
	c.AddHook(redisHook{m, run})
	return c
}

type redisHook struct {
	m   *redisMemory
	run func(cmds []redis.Cmder, do func(redis.Cmder)) error
}

func (h redisHook) DialHook(redis.DialHook) redis.DialHook {
	return func(context.Context, string, string) (net.Conn, error) { panic("nothing dials") }
}

func (h redisHook) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		if err := h.run([]redis.Cmder{cmd}, h.m.do); err != nil {
			return err
		}
		return cmd.Err()
	}
}

func (h redisHook) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		err := h.run(cmds, h.m.do)
		for _, cmd := range cmds {
			if err != nil {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// do runs one command and sets its answer.
func (m *redisMemory) do(cmd redis.Cmder) {
	args := make([]string, len(cmd.Args()))
	for i, a := range cmd.Args() {
		if text, ok := a.(*string); ok {
			a = *text
		}
		args[i] = fmt.Sprint(a)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	v, err := m.exec(args)
	if c, ok := cmd.(*redis.BoolCmd); ok && err == nil { // nil says no
		c.SetVal(v != nil)
		return
	}
	if err == nil && v == nil {
		err = redis.Nil
	}
	if err != nil {
		cmd.SetErr(err)
		return
	}
	list, _ := v.([]any)
	switch c := cmd.(type) {
	case *redis.Cmd:
		c.SetVal(v)
	case *redis.StatusCmd:
		c.SetVal(v.(string))
	case *redis.StringCmd:
		c.SetVal(v.(string))
	case *redis.IntCmd:
		c.SetVal(v.(int64))
	case *redis.SliceCmd:
		c.SetVal(list)
	case *redis.StringSliceCmd:
		c.SetVal(texts(list))
	case *redis.ScanCmd:
		c.SetVal(texts(list), 0)
	case *redis.MapStringStringCmd:
		h := map[string]string{}
		for i := 0; i < len(list); i += 2 {
			h[list[i].(string)] = list[i+1].(string)
		}
		c.SetVal(h)
	case *redis.ZSliceCmd:
		var zs []redis.Z
		for i := 0; i < len(list); i += 2 {
			score, _ := strconv.ParseFloat(list[i+1].(string), 64)
			zs = append(zs, redis.Z{Member: list[i], Score: score})
		}
		c.SetVal(zs)
	default:
		panic(fmt.Sprintf("no answer for %T", cmd))
	}
}

func texts(list []any) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.(string)
	}
	return out
}

// exec runs one command; the caller holds the lock. Answers are nil, int64, string or []any of these.
func (m *redisMemory) exec(args []string) (any, error) {
	name := strings.ToUpper(args[0])
	switch name {
	case "EVAL", "EVALSHA":
		return m.eval(name == "EVAL", args[1:])
	case "SCAN":
		var keys []any
		prefix := strings.TrimSuffix(args[3], "*")
		for _, k := range slices.Sorted(maps.Keys(m.data)) {
			if strings.HasPrefix(k, prefix) {
				keys = append(keys, k)
			}
		}
		return keys, nil
	case "DEL", "UNLINK":
		for _, k := range args[1:] {
			delete(m.data, k)
		}
		return int64(len(args) - 1), nil
	case "PEXPIRE":
		if _, ok := m.data[args[1]]; !ok {
			return nil, nil
		}
		return int64(1), nil // no schedule lasts as long as the retention
	case "EXISTS":
		there := int64(0)
		for _, k := range args[1:] {
			if _, ok := m.data[k]; ok {
				there++
			}
		}
		return there, nil
	case "GET":
		if v, ok := m.data[args[1]]; ok {
			return v, nil
		}
		return nil, nil
	case "SET":
		if _, there := m.data[args[1]]; !there && slices.ContainsFunc(args[3:], func(a string) bool { return strings.EqualFold(a, "xx") }) {
			return nil, nil
		}
		m.data[args[1]] = args[2]
		return "OK", nil
	}
	switch name[0] {
	case 'H':
		return m.hash(name, args[1], args[2:])
	case 'Z':
		return m.sorted(name, args[1], args[2:])
	}
	return m.list(name, args[1], args[2:])
}

func (m *redisMemory) hash(name, key string, args []string) (any, error) {
	h, _ := m.data[key].(map[string]string)
	field := func(f string) any {
		if v, ok := h[f]; ok {
			return v
		}
		return nil
	}
	switch name {
	case "HGET":
		return field(args[0]), nil
	case "HMGET":
		var out []any
		for _, f := range args {
			out = append(out, field(f))
		}
		return out, nil
	case "HGETALL":
		out := []any{}
		for f, v := range h {
			out = append(out, f, v)
		}
		return out, nil
	case "HSET", "HSETNX":
		if h == nil {
			h = map[string]string{}
			m.data[key] = h
		}
		for i := 0; i+1 < len(args); i += 2 {
			if _, ok := h[args[i]]; !ok || name == "HSET" {
				h[args[i]] = args[i+1]
			}
		}
		return int64(len(args) / 2), nil
	case "HINCRBY":
		was, _ := strconv.ParseInt(h[args[0]], 10, 64)
		by, _ := strconv.ParseInt(args[1], 10, 64)
		_, err := m.hash("HSET", key, []string{args[0], strconv.FormatInt(was+by, 10)})
		return was + by, err
	case "HDEL":
		for _, f := range args {
			delete(h, f)
		}
		if len(h) == 0 {
			delete(m.data, key)
		}
		return int64(len(args)), nil
	}
	return nil, redisError("ERR unknown command " + name)
}

func (m *redisMemory) sorted(name, key string, args []string) (any, error) {
	z, _ := m.data[key].(map[string]float64)
	switch name {
	case "ZADD":
		if z == nil {
			z = map[string]float64{}
			m.data[key] = z
		}
		for i := 0; i < len(args); i += 2 {
			score, err := strconv.ParseFloat(args[i], 64)
			if err != nil {
				return nil, err
			}
			z[args[i+1]] = score
		}
		return int64(len(args) / 2), nil
	case "ZREM":
		for _, member := range args {
			delete(z, member)
		}
		if len(z) == 0 {
			delete(m.data, key)
		}
		return int64(len(args)), nil
	case "ZRANGE":
		out := []any{}
		for member, score := range z {
			out = append(out, member, strconv.FormatFloat(score, 'f', -1, 64))
		}
		return out, nil
	}
	return nil, redisError("ERR unknown command " + name)
}

func (m *redisMemory) list(name, key string, args []string) (any, error) {
	l, _ := m.data[key].([]string)
	switch name {
	case "RPUSH":
		m.data[key] = append(slices.Clone(l), args...)
		return int64(len(l) + len(args)), nil
	case "LTRIM":
		from, err := strconv.Atoi(args[0])
		if l = l[min(from, len(l)):]; len(l) == 0 { // always to the end
			delete(m.data, key)
		} else {
			m.data[key] = l
		}
		return "OK", err
	case "LRANGE":
		out := []any{}
		for _, v := range l { // always the whole
			out = append(out, v)
		}
		return out, nil
	}
	return nil, redisError("ERR unknown command " + name)
}

var compiled sync.Map // script → *lua.FunctionProto

func (m *redisMemory) eval(whole bool, args []string) (any, error) {
	script := args[0]
	if whole {
		sum := sha1.Sum([]byte(script))
		m.scripts[hex.EncodeToString(sum[:])] = script
	} else if script = m.scripts[args[0]]; script == "" {
		return nil, redisError("NOSCRIPT No matching script. Please use EVAL.")
	}
	proto, ok := compiled.Load(script)
	if !ok {
		chunk, err := parse.Parse(strings.NewReader(script), "script")
		if err != nil {
			return nil, redisError("ERR " + err.Error())
		}
		p, err := lua.Compile(chunk, "script")
		if err != nil {
			return nil, redisError("ERR " + err.Error())
		}
		proto, _ = compiled.LoadOrStore(script, p)
	}
	n, _ := strconv.Atoi(args[1])
	m.vm.SetGlobal("KEYS", m.table(args[2:2+n]))
	m.vm.SetGlobal("ARGV", m.table(args[2+n:]))
	m.vm.Push(m.vm.NewFunctionFromProto(proto.(*lua.FunctionProto)))
	if err := m.vm.PCall(0, 1, nil); err != nil {
		return nil, redisError("ERR " + err.Error())
	}
	v := m.vm.Get(-1)
	m.vm.Pop(1)
	return fromLua(v), nil
}

func (m *redisMemory) table(values []string) *lua.LTable {
	t := m.vm.CreateTable(len(values), 0)
	for _, v := range values {
		t.Append(lua.LString(v))
	}
	return t
}

// call is redis.call.
func (m *redisMemory) call(vm *lua.LState) int {
	args := make([]string, vm.GetTop())
	for i := range args {
		args[i] = vm.Get(i + 1).String()
	}
	v, err := m.exec(args)
	if err != nil {
		vm.RaiseError("%s", err.Error())
	}
	vm.Push(m.toLua(v))
	return 1
}

func (m *redisMemory) toLua(v any) lua.LValue {
	switch v := v.(type) {
	case int64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case []any:
		t := m.vm.CreateTable(len(v), 0)
		for i, e := range v {
			t.RawSetInt(i+1, m.toLua(e))
		}
		return t
	}
	return lua.LFalse
}

func fromLua(v lua.LValue) any {
	switch v := v.(type) {
	case lua.LNumber:
		return int64(v)
	case lua.LString:
		return string(v)
	case *lua.LTable:
		out := []any{}
		for i := 1; i <= v.Len(); i++ {
			out = append(out, fromLua(v.RawGetInt(i)))
		}
		return out
	}
	return nil
}

// Flush forgets everything.
func (m *redisMemory) Flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = map[string]any{}
}

// Lose forgets one key: the nth, begun again where there are not so many.
func (m *redisMemory) Lose(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if keys := slices.Sorted(maps.Keys(m.data)); len(keys) > 0 {
		delete(m.data, keys[n%len(keys)])
	}
}

// snapshot is a copy of everything, to go back to or to look at.
func (m *redisMemory) snapshot() map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copyOf(m.data)
}

func (m *redisMemory) restore(s map[string]any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.data = copyOf(s)
}

func copyOf(data map[string]any) map[string]any {
	out := make(map[string]any, len(data))
	for k, v := range data {
		switch v := v.(type) {
		case map[string]string:
			out[k] = maps.Clone(v)
		case map[string]float64:
			out[k] = maps.Clone(v)
		default: // lists are replaced, never changed
			out[k] = v
		}
	}
	return out
}

// The Redis of the simulation is held to what the real ones are held to.
func TestRedisKeepsTheContract(t *testing.T) {
	storetest.Suite(t, newRedis().client(func(cmds []redis.Cmder, do func(redis.Cmder)) error {
		for _, c := range cmds {
			do(c)
		}
		return nil
	}))
}
