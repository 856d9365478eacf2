package mailbox

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

const childDir = "TROUPE_TEST_MAILBOX_DIR"

// TestMain is the mailbox itself when a test runs this binary again.
func TestMain(m *testing.M) {
	dir := os.Getenv(childDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	cfg := Config{SMTPAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0", Dir: dir, MaxMessages: 1_000_000}
	cfg.Listening = func(mail, web net.Addr) { fmt.Println(mail, web) }
	if err := Run(context.Background(), cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process starts a mailbox as a process of its own, and returns it with its two doors.
func process(t *testing.T, dir string) (kill func(), b *box) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // SIGKILL
		_ = cmd.Wait()         // says that it was killed
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("mailbox did not start: %v", err)
	}
	mail, web, _ := strings.Cut(strings.TrimSpace(line), " ")
	return kill, &box{t: t, smtp: mail, web: "http://" + web}
}

func TestKillForgetsNothingThatWasTaken(t *testing.T) {
	dir := t.TempDir()
	taken := map[string]bool{}
	for round := range 3 {
		kill, b := process(t, dir)
		var mu sync.Mutex
		enough := make(chan struct{})
		count := 0
		var senders sync.WaitGroup
		for sender := range 8 {
			senders.Go(func() {
				c, err := smtp.Dial(b.smtp)
				if err != nil {
					t.Error(err)
					return
				}
				defer func() { _ = c.Close() }()
				for i := 0; ; i++ {
					id := fmt.Sprintf("%d-%d-%d", round, sender, i)
					if send(c, rawMail(id), "a@example.com") != nil {
						return // killed: nobody knows about this one
					}
					mu.Lock()
					taken[id] = true
					if count++; count == 300 {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		gone := make(chan struct{})
		go func() { senders.Wait(); close(gone) }() // received below
		select {
		case <-enough:
		case <-gone:
			t.Fatal("no mail is taken any more")
		}
		kill()
		<-gone
	}
	_, b := process(t, dir)
	found := map[string]int{}
	for after := int64(0); ; {
		l := b.list(fmt.Sprintf("?after=%d", after))
		for _, m := range l.Messages {
			found[m.MessageID]++
		}
		if after = l.NextAfter; after == 0 {
			break
		}
	}
	for id := range taken {
		if found[id] != 1 {
			t.Errorf("mail %s was taken and is there %d times", id, found[id])
		}
	}
	if len(found) > len(taken)+3*8 {
		t.Errorf("%d mails, %d taken", len(found), len(taken))
	}
}
