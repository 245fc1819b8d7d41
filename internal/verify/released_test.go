package verify

import (
	"strings"
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

func TestReleased_Clean_NoFault(t *testing.T) {
	e := releasedHistory(t)
	for name, check := range map[string]func(Evidence) []Fault{"backend": Backend, "effects": Effects, "records": Records, "generations": Generations} {
		if faults := check(e); len(faults) > 0 {
			t.Errorf("%s: got faults %v", name, faults)
		}
	}
}

func TestReleased_PlantedViolation_IsFound(t *testing.T) {
	for name, plant := range map[string]struct {
		change func(*Evidence)
		check  func(Evidence) []Fault
		want   string
	}{
		"the image is lost":      {func(e *Evidence) { e.Files.Released = nil }, Backend, "exists: false"},
		"the image is shorter":   {func(e *Evidence) { e.Files.Released[releasedImage]-- }, Backend, "of size 1MiB"},
		"an image of nobody":     {func(e *Evidence) { e.Files.Released["released-x"] = 1 }, Backend, "left by no unmanage"},
		"it was deleted instead": {func(e *Evidence) { e.Effects[len(e.Effects)-1].Change = "delete" }, Effects, "in no operation"},
		"it was given away twice": {func(e *Evidence) {
			e.Effects = append(e.Effects, e.Effects[len(e.Effects)-1])
		}, Effects, "2 effects release"},
	} {
		t.Run(name, func(t *testing.T) {
			e := releasedHistory(t)
			plant.change(&e)
			for _, fault := range plant.check(e) {
				if strings.Contains(fault.String(), plant.want) {
					return
				}
			}
			t.Errorf("got %v, want a fault that says %q", plant.check(e), plant.want)
		})
	}
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

func TestTakenIn_Clean_NoFault(t *testing.T) {
	e := takenInHistory(t)
	for name, check := range map[string]func(Evidence) []Fault{"backend": Backend, "effects": Effects, "records": Records, "generations": Generations} {
		if faults := check(e); len(faults) > 0 {
			t.Errorf("%s: got faults %v", name, faults)
		}
	}
}

func TestTakenIn_PlantedViolation_IsFound(t *testing.T) {
	for name, plant := range map[string]struct {
		change func(*Evidence)
		check  func(Evidence) []Fault
		want   string
	}{
		"the image is still there": {func(e *Evidence) { e.Files.Released = map[volume.Image]volume.Bytes{releasedImage: volume.MiB} }, Backend, "left by no unmanage"},
		"the volume is not there":  {func(e *Evidence) { e.Objects = nil }, Backend, "default.db-01"},
		"it was made empty":        {func(e *Evidence) { e.Effects[len(e.Effects)-1].Change = "create" }, Effects, "in no operation"},
		"it is of another size":    {func(e *Evidence) { e.Effects[len(e.Effects)-1].Size++ }, Effects, "import to"},
		"it was taken in twice": {func(e *Evidence) {
			e.Effects = append(e.Effects, e.Effects[len(e.Effects)-1])
		}, Effects, "2 effects import"},
	} {
		t.Run(name, func(t *testing.T) {
			e := takenInHistory(t)
			plant.change(&e)
			for _, fault := range plant.check(e) {
				if strings.Contains(fault.String(), plant.want) {
					return
				}
			}
			t.Errorf("got %v, want a fault that says %q", plant.check(e), plant.want)
		})
	}
}
