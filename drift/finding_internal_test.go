package drift

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/jetvol/jetvol/volume"
)

// `jetvol drift scan --json` also tells of volumes that are only behind.
func TestFinding_NothingDiffers_ListsAreEmptyNotNull(t *testing.T) {
	data, err := json.Marshal(newFinding(volume.Key{Project: "default", Name: "db-01"}, "local", nil, time.Time{}))
	if err != nil || !strings.Contains(string(data), `"kinds":[],"differences":[]`) {
		t.Errorf("got %s, %v, want empty lists", data, err)
	}
}
