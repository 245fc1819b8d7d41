package quotas

import (
	"github.com/jetvol/jetvol/volume"
)

// Usage is what volumes use. Each number is signed, because a difference may be negative.
type Usage struct {
	Volumes int64 `json:"volumes"`
	// Bytes is the sum of the volumes' sizes, whatever their backends store of them. A clone
	// counts whole.
	Bytes     int64 `json:"bytes"`
	Snapshots int64 `json:"snapshots"`
}

// Of returns what the volume of a record uses: nothing if there is none or it is pending,
// else one volume with its size and its snapshots. What an operation under way may still add
// counts already.
func Of(record volume.Record) Usage {
	used := settled(record)
	if op := record.Op; op != nil && used != (Usage{}) {
		switch op.Verb {
		case volume.VerbResize:
			used.Bytes = max(used.Bytes, int64(op.Args.Size))
		case volume.VerbSnapshot:
			used.Snapshots++
		case volume.VerbRestore:
			if op.Snapshot != nil {
				used.Bytes = max(used.Bytes, int64(op.Snapshot.Size))
			}
		}
	}
	return used
}

// Before returns what the volume used before its operation under way was begun; what it
// uses now if there is none.
func Before(record volume.Record) Usage {
	if op := record.Op; op != nil && (op.Verb == volume.VerbCreate || op.Verb == volume.VerbAdopt) {
		return Usage{}
	}
	return settled(record)
}

func settled(record volume.Record) Usage {
	if !record.Exists() || record.State == volume.StatePending {
		return Usage{}
	}
	return Usage{Volumes: 1, Bytes: int64(record.Size), Snapshots: int64(record.Snapshots)}
}

// Plus returns the sum of both.
func (u Usage) Plus(v Usage) Usage {
	return Usage{u.Volumes + v.Volumes, u.Bytes + v.Bytes, u.Snapshots + v.Snapshots}
}

// Minus returns u without v.
func (u Usage) Minus(v Usage) Usage {
	return Usage{u.Volumes - v.Volumes, u.Bytes - v.Bytes, u.Snapshots - v.Snapshots}
}

// Max returns the greater one of each number.
func (u Usage) Max(v Usage) Usage {
	return Usage{max(u.Volumes, v.Volumes), max(u.Bytes, v.Bytes), max(u.Snapshots, v.Snapshots)}
}
