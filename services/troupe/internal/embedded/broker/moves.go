package broker

import (
	"log/slog"
	"net/http"

	"github.com/troupe-dev/troupe/pkg/fault"
	"github.com/troupe-dev/troupe/pkg/httpdoor"
	"github.com/troupe-dev/troupe/pkg/problem"
	"github.com/troupe-dev/troupe/services/troupe/control"
	"github.com/twmb/franz-go/pkg/kfake"
)

// moves serves POST /leaders/move and POST /coordinators/move of a cluster of so many brokers.
func moves(cluster *kfake.Cluster, nodes int) http.Handler {
	mux := httpdoor.NewRouter()
	mux.Use(control.Guard)
	for what, move := range map[string]func(){"leaders": cluster.ShufflePartitionLeaders, "coordinators": cluster.RehashCoordinators} {
		mux.Post("/"+what+"/move", func(w http.ResponseWriter, r *http.Request) {
			if nodes < 2 {
				problem.Write(w, r, fault.New(fault.Conflict, "there is one broker only, so nothing can move: see troupe play --brokers"))
				return
			}
			move()
			slog.Info("moved", "what", what)
			w.WriteHeader(http.StatusNoContent)
		})
	}
	return mux
}
