package acceptance

import (
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/jetvol/jetvol/internal/natstest"
)

// lengths are those of the records that one side writes, in their order.
type lengths struct {
	mu  sync.Mutex // guards all
	all []int
}

func (l *lengths) hear(msg *nats.Msg) {
	// Volumes that stay have the first numbers; others are made for the templates.
	if !strings.HasSuffix(msg.Subject[:len(msg.Subject)-1], ".v-0000000") {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, len(msg.Data))
}

// later is the average of those that the second half of the commands wrote: in the first turns
// the rings fill up.
func (l *lengths) later() (mean float64, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	half := l.all[len(l.all)/2:]
	sum := 0
	for _, n := range half {
		sum += n
	}
	return float64(sum) / float64(max(1, len(half))), len(half)
}

// A record holds the answers to its last commands, 8 to 16 once there are so many. What the ceiling
// writes has to be as long as what jetvol writes on average, or the ratio is of different work.
func TestBench_VolumesThatStay_RecordsOfBothSidesAreAsLong(t *testing.T) {
	for workload, flags := range map[string][]string{
		"attach": {"--volumes", "4", "--inflight", "4"},
		"hot":    {"--inflight", "4"},
	} {
		t.Run(workload, func(t *testing.T) {
			server := natstest.Start(t)
			conn := server.JetStream(t).Conn()
			var jetvol, ceiling lengths
			for subject, to := range map[string]*lengths{"$KV.volumes.*.*": &jetvol, "$KV.ceiling.*.*": &ceiling} {
				if _, err := conn.Subscribe(subject, to.hear); err != nil {
					t.Fatal(err)
				}
			}
			bench(t, t.TempDir(), append(flags, "--server", server.URL(), "--workload", workload, "--rounds", "2")...)
			got, n := ceiling.later()
			want, of := jetvol.later()
			if n < 50 || of < 50 {
				t.Fatalf("got %d and %d records, want some turns of each side", of, n)
			}
			t.Logf("records of jetvol: %.0f bytes, of the ceiling: %.0f", want, got)
			if got < 0.95*want || got > 1.05*want {
				t.Errorf("got %.0f bytes a record of the ceiling and %.0f of jetvol, want the same", got, want)
			}
		})
	}
}
