package verify

import (
	"testing"

	"github.com/jetvol/jetvol/volume"
)

const releasedImage = volume.Image("released-default.db-01.1")

// releasedHistory is a volume that was let go of.
func releasedHistory(t *testing.T) Evidence {
	t.Helper()
	h := newHistory(t)
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.command("c2", volume.VerbUnmanage, volume.Args{})
	e := h.rest()
	e.Files.Released = map[volume.Image]volume.Bytes{releasedImage: volume.MiB}
	return e
}

// takenInHistory is one that came back, as another volume.
func takenInHistory(t *testing.T) Evidence {
	t.Helper()
	h := newHistory(t)
	h.command("c1", volume.VerbCreate, volume.Args{Size: volume.MiB})
	h.command("c2", volume.VerbUnmanage, volume.Args{})
	h.command("c3", volume.VerbAdopt, volume.Args{Image: releasedImage})
	return h.rest()
}

func TestAll_ReleasedAndTakenIn_NoFault(t *testing.T) {
	for name, run := range map[string]func(*testing.T) Evidence{"released": releasedHistory, "taken in": takenInHistory} {
		if faults := All(run(t)); len(faults) > 0 {
			t.Errorf("%s: got faults in a clean run:\n%s", name, lines(faults))
		}
	}
}

func TestReleased_PlantedViolation_IsFound(t *testing.T) {
	for name, test := range map[string]struct {
		run   func(*testing.T) Evidence
		check Check
		plant func(*Evidence)
		says  string
	}{
		"the image is lost":      {releasedHistory, Backend, func(e *Evidence) { e.Files.Released = nil }, "exists: false"},
		"the image is shorter":   {releasedHistory, Backend, func(e *Evidence) { e.Files.Released[releasedImage]-- }, "of size 1MiB"},
		"an image of nobody":     {releasedHistory, Backend, func(e *Evidence) { e.Files.Released["released-x"] = 1 }, "left by no unmanage"},
		"it was deleted instead": {releasedHistory, Effects, func(e *Evidence) { e.Effects[len(e.Effects)-1].Change = "delete" }, "in no operation"},
		"it was given away twice": {releasedHistory, Effects, func(e *Evidence) {
			e.Effects = append(e.Effects, e.Effects[len(e.Effects)-1])
		}, "2 effects release"},

		"the image is still there": {takenInHistory, Backend, func(e *Evidence) {
			e.Files.Released = map[volume.Image]volume.Bytes{releasedImage: volume.MiB}
		}, "left by no unmanage"},
		"the volume is not there": {takenInHistory, Backend, func(e *Evidence) { e.Objects = nil }, "default.db-01"},
		"it was made empty":       {takenInHistory, Effects, func(e *Evidence) { e.Effects[len(e.Effects)-1].Change = "create" }, "in no operation"},
		"it is of another size":   {takenInHistory, Effects, func(e *Evidence) { e.Effects[len(e.Effects)-1].Size++ }, "import to"},
		"it was taken in twice": {takenInHistory, Effects, func(e *Evidence) {
			e.Effects = append(e.Effects, e.Effects[len(e.Effects)-1])
		}, "2 effects import"},
	} {
		t.Run(name, func(t *testing.T) {
			e := test.run(t)
			test.plant(&e)
			wantFound(t, test.check(e), "", test.says)
		})
	}
}
