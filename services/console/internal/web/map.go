package web

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/troupe-dev/troupe/schemas/choreography"
	"github.com/troupe-dev/troupe/services/console/internal/letters"
)

// chart is the choreography as it is drawn: services above, topics as bars across, readers below. Units are those of the SVG's viewBox.
type chart struct {
	Width, Height int
	Services      []box // participants, then readers
	Topics        []bar
	Wires         []wire
	Routes        []route
}

// box is a service.
type box struct {
	Name       string
	X, Y, W, H int
	Subscribes []string // topics
}

// bar is a topic.
type bar struct {
	Name   string
	Writer string
	X1, X2 int
	Y      int
}

// wire joins a service and a topic, towards Y2.
type wire struct {
	Service, Topic string
	Writer         string // of the topic
	Write          bool
	X, Y1, Y2      int
}

// route is the way of an event from who publishes it to one who hears it.
type route struct{ Type, Source, Path string }

const (
	chartGutter = 200
	chartColumn = 200
	chartBox    = 172
	boxHeight   = 64
	barsTop     = 152
	barGap      = 58
)

// chartOf lays out a choreography: always the same for the same file.
func chartOf(c *choreography.Choreography) chart {
	names := slices.DeleteFunc(slices.Clone(letters.Participants), func(n string) bool { _, ok := c.Participants[n]; return !ok })
	for _, n := range slices.Sorted(maps.Keys(c.Participants)) {
		if !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	ch := chart{Width: chartGutter + chartColumn*len(names)}
	for i, n := range names {
		ch.Services = append(ch.Services, box{Name: n, X: chartGutter + chartColumn*i, Y: 12, W: chartBox, H: boxHeight})
		ch.Topics = append(ch.Topics, bar{Name: c.Participants[n].Topic, Writer: n, X1: chartGutter - 16, X2: ch.Width - 12, Y: barsTop + barGap*i})
	}
	bottom := barsTop + barGap*len(names) + 16
	readers := slices.DeleteFunc(slices.Sorted(maps.Keys(c.Readers)), func(n string) bool { return len(c.Subscriptions(n)) == 0 })
	for i, n := range readers {
		width := (chartColumn*len(names) - 28) / len(readers)
		ch.Services = append(ch.Services, box{Name: n, X: chartGutter + i*width, Y: bottom, W: width - 12*min(1, i), H: boxHeight})
	}
	ch.Height = bottom + boxHeight + 12
	for i := range ch.Services {
		ch.wire(c, &ch.Services[i])
	}
	ch.route(c)
	return ch
}

// wire joins a service to the topic that it writes and to those that it hears.
func (ch *chart) wire(c *choreography.Choreography, b *box) {
	var wires []wire
	for _, t := range ch.Topics {
		if t.Writer == b.Name {
			wires = append(wires, wire{Service: b.Name, Topic: t.Name, Writer: t.Writer, Write: true, Y1: t.Y})
		}
	}
	for _, t := range ch.Topics {
		if len(c.Subscriptions(b.Name)[t.Name]) > 0 {
			b.Subscribes = append(b.Subscribes, t.Name)
			wires = append(wires, wire{Service: b.Name, Topic: t.Name, Writer: t.Writer, Y1: t.Y})
		}
	}
	left, room, edge := 22, b.W-66, b.Y+b.H
	if b.Y > barsTop { // beside the wires from above
		left, room, edge = 66, b.W-132, b.Y
	}
	for i, w := range wires {
		w.X, w.Y2 = b.X+left+i*room/max(1, len(wires)-1), edge
		if w.Write {
			w.Y1, w.Y2 = w.Y2, w.Y1-4
		}
		ch.Wires = append(ch.Wires, w)
	}
}

// route finds the way of each event along the wires.
func (ch *chart) route(c *choreography.Choreography) {
	for _, from := range ch.Wires {
		if !from.Write {
			continue
		}
		for _, typ := range c.Published(from.Service) {
			for _, to := range ch.Wires {
				if !to.Write && to.Topic == from.Topic && slices.Contains(c.Subscriptions(to.Service)[to.Topic], typ) {
					path := fmt.Sprintf("M%d %dV%dH%dV%d", from.X, from.Y1, from.Y2, to.X, to.Y2)
					ch.Routes = append(ch.Routes, route{Type: typ, Source: from.Service, Path: path})
				}
			}
		}
	}
}

func (p *Pages) showMap(w http.ResponseWriter, r *http.Request) {
	p.show(w, r, http.StatusOK, "map", "Map", p.chart)
}
