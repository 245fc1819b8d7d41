package events_test

import (
	"testing"

	"github.com/jetvol/jetvol/events"
	"github.com/jetvol/jetvol/internal/alloctest"
)

// envelopeWorks are what is done to each event: tied to the one before, encoded, and where it
// is read again decoded and hashed.
func envelopeWorks(t testing.TB) []alloctest.Work {
	var works []alloctest.Work
	all := samples()
	for _, of := range []struct {
		event                       string
		chain, encode, decode, hash int
	}{
		{"attached", 14, 13, 41, 11},
		{"failed", 19, 18, 61, 11},
		{"rejected", 11, 10, 35, 10},
	} {
		event := all[of.event]
		previous, err := events.Chain(&event, "")
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := events.Encode(event)
		if err != nil {
			t.Fatal(err)
		}
		name := "/event=" + of.event
		works = append(works,
			alloctest.Work{Name: "do=chain" + name, Allocs: of.chain, Do: func() (err error) {
				previous, err = events.Chain(&event, previous)
				return err
			}},
			alloctest.Work{Name: "do=encode" + name, Allocs: of.encode, Do: func() error {
				_, err := events.Encode(event)
				return err
			}},
			alloctest.Work{Name: "do=decode" + name, Allocs: of.decode, Do: func() error {
				_, err := events.Decode(encoded)
				return err
			}},
			alloctest.Work{Name: "do=hash" + name, Allocs: of.hash, Do: func() error {
				previous = events.Hash(encoded)
				return nil
			}})
	}
	return works
}

func BenchmarkEnvelope(b *testing.B) { alloctest.Benchmark(b, envelopeWorks(b)) }

func TestAllocations_OfEnvelopes_WithinTheirBounds(t *testing.T) {
	alloctest.Test(t, envelopeWorks(t))
}
