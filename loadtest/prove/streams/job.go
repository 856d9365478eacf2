package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/troupe-dev/troupe/loadtest/prove/rig"
)

// job is a run of services/statistics.
type job struct {
	*rig.Child
	log string
}

func (t *test) start(name, sql string) (*job, error) {
	j := &job{log: filepath.Join(t.dir, name+".log")}
	var err error
	j.Child, err = rig.StartChild(j.log, []string{"KAFKA_BROKERS=" + t.brokers, "CHECKPOINTS=file://" + t.dir}, "java", "-Xmx512m",
		"-cp", "services/statistics/target/statistics-1.jar:services/statistics/target/libs/*", "dev.troupe.statistics.Main", sql)
	return j, err
}

// failed says that it ended, which a job that reads without bound does not do by itself.
func (j *job) failed() error {
	if j == nil {
		return nil
	}
	err := j.Gone()
	if err == nil {
		return nil
	}
	said, _ := os.ReadFile(j.log)
	return fmt.Errorf("the job ended by itself: %w: %s", err, said)
}
