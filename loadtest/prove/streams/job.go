package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// job is a run of services/statistics.
type job struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error // with what it ended
}

func (t *test) start(name, sql string) (*job, error) {
	j := &job{log: filepath.Join(t.dir, name+".log"), ended: make(chan struct{})}
	out, err := os.Create(j.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }() // the job has its own
	j.cmd = exec.Command("java", "-Xmx512m", "-cp", "services/statistics/target/statistics-1.jar:services/statistics/target/libs/*",
		"dev.troupe.statistics.Main", sql)
	j.cmd.Stdout, j.cmd.Stderr = out, out
	j.cmd.Env = append(os.Environ(), "KAFKA_BROKERS="+t.brokers, "CHECKPOINTS=file://"+t.dir)
	if err := j.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the job, for whose end kill waits
		j.err = j.cmd.Wait()
		close(j.ended)
	}()
	return j, nil
}

// failed says that it ended, which a job that reads without bound does not do by itself.
func (j *job) failed() error {
	if j == nil {
		return nil
	}
	select {
	case <-j.ended:
		said, _ := os.ReadFile(j.log)
		return fmt.Errorf("the job ended by itself: %w: %s", j.err, said)
	default:
		return nil
	}
}

// kill ends it with SIGKILL, and blocks until it is gone.
func (j *job) kill() {
	_ = j.cmd.Process.Kill() // it may have ended
	<-j.ended
}
