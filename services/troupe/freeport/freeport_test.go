package freeport_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/troupe-dev/troupe/services/troupe/freeport"
)

// A process that finds a port in TRY says whether it can reserve it.
func TestMain(m *testing.M) {
	if port, err := strconv.Atoi(os.Getenv("TRY")); err == nil {
		fmt.Println(freeport.Reserve(port))
		return
	}
	os.Exit(m.Run())
}

// run returns what a command says that finds a port in TRY.
func run(t *testing.T, port int, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("TRY=%d", port))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// take takes a port before three that are free.
func take(t *testing.T) int {
	t.Helper()
	for port := freeport.Take(); port != 0; port = freeport.Take() {
		free := 0
		for n := port + 1; n <= port+3; n++ {
			if ln, err := listen(n); err == nil && ln.Close() == nil {
				free++
			}
		}
		if free == 3 {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func TestAPortIsDrawnOnce(t *testing.T) {
	port := take(t)
	if freeport.Reserve(port) {
		t.Errorf("%d is drawn twice", port)
	}
	for n, want := range map[int]string{port: "false", port + 1: "true"} {
		if said := run(t, n, os.Args[0]); said != want {
			t.Errorf("beside %d, another process reserves %d: %s", port, n, said)
		}
	}
	if !freeport.Reserve(port + 1) {
		t.Errorf("%d is of a process that has ended", port+1)
	}
}

// Scripts draw by the same locks: here three ports in a row, of which the first would be one that is taken.
func TestScriptsDrawWhatNobodyElseHas(t *testing.T) {
	port := take(t)
	said := run(t, port+1, "bash", "-euo", "pipefail", "-c", fmt.Sprintf(`. ../../../scripts/ports
		shuf() { echo %d %d; }
		take_ports 3
		echo "$port"
		for _ in 1 2 3; do "$1"; TRY=$((TRY + 1)); done`, port, port+1), "draw", os.Args[0])
	if want := fmt.Sprintf("%d\nfalse\nfalse\nfalse", port+1); said != want {
		t.Errorf("drawn beside %d, and reserved by others meanwhile:\n%s\nwant\n%s", port, said, want)
	}
}

func TestWhatIsListenedOnIsNotFree(t *testing.T) {
	ln, err := listen(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	if port := ln.Addr().(*net.TCPAddr).Port; freeport.Reserve(port) {
		t.Errorf("%d is listened on, and free", port)
	}
	t.Setenv("TMPDIR", "/dev/null")
	if freeport.Take() == 0 {
		t.Error("without a place for locks, no port is free")
	}
}
