package backendtest_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/backendtest"
	"github.com/jetvol/jetvol/backends/null"
	"github.com/jetvol/jetvol/volume"
)

// plantVariable names the faulty driver that a child process runs the suite against.
const plantVariable = "JETVOL_BACKENDTEST_PLANTED"

// harness opens handles with the fault, over one store.
type harness struct {
	store *null.Driver
	plant func(*null.Driver) backends.Driver
}

func (h *harness) Open(testing.TB) backends.Driver { return h.plant(h.store) }
func (h *harness) MaxSize() volume.Bytes           { return volume.MaxSize }

// plants are drivers that each break one rule, with a case that must notice.
var plants = map[string]struct {
	plant  func(*null.Driver) backends.Driver
	caught string
}{
	"create refuses a repeat":            {func(d *null.Driver) backends.Driver { return createOnce{d} }, "Create_Repeated_IsSuccess"},
	"create takes any size":              {func(d *null.Driver) backends.Driver { return createAnySize{d} }, "Create_SameIDOtherSize_IsRefused"},
	"create takes over strangers":        {func(d *null.Driver) backends.Driver { return createOver{d} }, "Create_KeyOfStranger_IsAlreadyExists"},
	"create rounds sizes":                {func(d *null.Driver) backends.Driver { return createRounded{d} }, "Create_SizeWithoutUnit_IsExact"},
	"delete refuses a missing volume":    {func(d *null.Driver) backends.Driver { return deleteStrict{d} }, "Delete_Repeated_IsSuccess"},
	"delete ignores the id":              {func(d *null.Driver) backends.Driver { return deleteAny{d} }, "Delete_Stranger_IsLeftAlone"},
	"delete ignores the holder":          {func(d *null.Driver) backends.Driver { return deleteHeld{d} }, "Delete_WhileAttached_IsRefused"},
	"attach steals":                      {func(d *null.Driver) backends.Driver { return attachSteals{d} }, "Attach_HeldByOther_IsRefusedNamingHolder"},
	"attach does not name the holder":    {func(d *null.Driver) backends.Driver { return attachSilent{d} }, "Attach_HeldByOther_IsRefusedNamingHolder"},
	"detach ignores the node":            {func(d *null.Driver) backends.Driver { return detachAny{d} }, "Detach_HeldByOther_IsRefusedNamingHolder"},
	"attach lets one reader in":          {func(d *null.Driver) backends.Driver { return shareDenied{d} }, "Share_Readers_HoldItTogether"},
	"attach keeps only the last reader":  {func(d *null.Driver) backends.Driver { return shareReplaces{d} }, "Share_Readers_HoldItTogether"},
	"holders are told as they came":      {func(d *null.Driver) backends.Driver { return shareUnsorted{Driver: d} }, "Share_OrderOfAttaches_IsIrrelevant"},
	"attach refuses a reader's repeat":   {func(d *null.Driver) backends.Driver { return shareOnce{d} }, "Share_Repeated_ReturnsTheSame"},
	"attach lets a writer to readers":    {func(d *null.Driver) backends.Driver { return shareWriter{d} }, "Share_WriterBesideReaders_IsRefusedNamingAll"},
	"attach names one reader only":       {func(d *null.Driver) backends.Driver { return shareNamesOne{d} }, "Share_WriterBesideReaders_IsRefusedNamingAll"},
	"attach lets a reader to the writer": {func(d *null.Driver) backends.Driver { return shareWithWriter{d} }, "Share_ReaderBesideWriter_IsRefusedNamingHolder"},
	"attach lets a reader write":         {func(d *null.Driver) backends.Driver { return shareUpgrades{d} }, "Share_ReaderWantsToWrite_IsRefused"},
	"detach takes all readers away":      {func(d *null.Driver) backends.Driver { return shareDetachesAll{d} }, "Share_DetachOfOne_KeepsTheOthers"},
	"detach refuses a reader's repeat":   {func(d *null.Driver) backends.Driver { return shareDetachOnce{d} }, "Share_DetachOfOne_KeepsTheOthers"},
	"delete looks for two readers":       {func(d *null.Driver) backends.Driver { return shareDeletes{d} }, "Share_Delete_IsRefusedUntilTheLastDetach"},
	"attach has room for fifty readers":  {func(d *null.Driver) backends.Driver { return shareFull{d} }, "Share_MostNodesWithTheLongestNames_HoldIt"},
	"list tells the first reader":        {func(d *null.Driver) backends.Driver { return shareListsOne{d} }, "Share_Listed_AgreesWithGet"},
	"readers at once lose each other":    {func(d *null.Driver) backends.Driver { return shareRaces{d} }, "Share_ManyNodesAtOnce_AllHoldIt"},
	"resize takes smaller for done":      {func(d *null.Driver) backends.Driver { return resizeShrinks{d} }, "Resize_Smaller_IsRefused"},
	"resize is claimed but unsupported":  {func(d *null.Driver) backends.Driver { return resizeDenied{d} }, "Capabilities_Claimed_AreHad"},
	"get has no class for missing":       {func(d *null.Driver) backends.Driver { return getUnclassified{d} }, "Get_Missing_IsNotFound"},
	"list omits attached volumes":        {func(d *null.Driver) backends.Driver { return listOmits{d} }, "List_ThreeVolumes_AgreesWithGet"},
	"list does not stop":                 {func(d *null.Driver) backends.Driver { return listGoesOn{d} }, "List_YieldSaysStop_Stops"},
	"a handle knows only its own":        {func(d *null.Driver) backends.Driver { return &forgetful{Driver: d} }, "Reopen_AttachedVolume_IsSeenAsItWas"},
	"fence is claimed but unsupported":   {func(d *null.Driver) backends.Driver { return fenceDenied{d} }, "Capabilities_Claimed_AreHad"},
	"fence is ignored by attach":         {func(d *null.Driver) backends.Driver { return fenceHalf{d} }, "Fence_OlderEpoch_IsRefusedByEveryCall"},
	"fence refuses its own epoch":        {func(d *null.Driver) backends.Driver { return fenceOff{d} }, "Fence_EqualOrLaterEpoch_Passes"},
	"fence is raised by every call":      {func(d *null.Driver) backends.Driver { return fenceRaised{d} }, "Fence_NeverMade_TakesEveryEpoch"},
	"fence lets callers without through": {func(d *null.Driver) backends.Driver { return fenceFree{d} }, "Fence_NoEpoch_IsRefusedLikeAnOlderOne"},
	"fence refuses a repeat":             {func(d *null.Driver) backends.Driver { return fenceOnce{d} }, "Fence_Repeated_IsSuccess"},
	"fence takes an older epoch":         {func(d *null.Driver) backends.Driver { return fenceQuiet{d} }, "Fence_Older_IsRefusedTellingTheStoredEpoch"},
	"fence is of one life":               {func(d *null.Driver) backends.Driver { return &fenceOfLife{Driver: d} }, "Fence_OtherLife_IsRefusedToo"},
	"fence makes a volume":               {func(d *null.Driver) backends.Driver { return fenceMakes{d} }, "Fence_MissingVolume_MakesNone"},
	"fence detaches":                     {func(d *null.Driver) backends.Driver { return fenceDetaches{d} }, "Fence_AttachedVolume_KeepsIt"},
	"fence shuts all volumes":            {func(d *null.Driver) backends.Driver { return fenceAll{d} }, "Fence_OtherVolume_IsNotConcerned"},
	"fence goes with the volume":         {func(d *null.Driver) backends.Driver { return &fenceMortal{newFenceHere(d)} }, "Fence_VolumeDeleted_RefusesItsLateCreate"},
	"fence is known to one handle":       {func(d *null.Driver) backends.Driver { return newFenceHere(d) }, "Fence_Reopened_StillHolds"},
	"fence does not reach old handles":   {func(d *null.Driver) backends.Driver { return newFenceHere(d) }, "Fence_WithOldHandleOpen_StopsIt"},
	"fence is looked at too early":       {func(d *null.Driver) backends.Driver { return fenceEarly{d} }, "Fence_DuringOlderCalls_IsTheLastThingTheySee"},
	"evict is claimed but unsupported":   {func(d *null.Driver) backends.Driver { return evictDenied{d} }, "Capabilities_Claimed_AreHad"},
	"evict keeps the reservation":        {func(d *null.Driver) backends.Driver { return evictFencesOnly{d} }, "Evict_Holder_EndsItsReservation"},
	"evict ignores the node":             {func(d *null.Driver) backends.Driver { return evictAny{d} }, "Evict_HeldByOther_IsSuccessAndStaysTheirs"},
	"evict ends all readers":             {func(d *null.Driver) backends.Driver { return evictAll{d} }, "Evict_OneReader_LeavesTheOthers"},
	"evict refuses a repeat":             {func(d *null.Driver) backends.Driver { return evictStrict{d} }, "Evict_Repeated_IsSuccess"},
	"evict refuses what is not held":     {func(d *null.Driver) backends.Driver { return evictStrict{d} }, "Evict_NotHeld_IsSuccess"},
	"evict ignores the id":               {func(d *null.Driver) backends.Driver { return evictStrangers{d} }, "Evict_Stranger_IsRefused"},
	"evict of nothing is success":        {func(d *null.Driver) backends.Driver { return evictLoose{d} }, "Evict_Missing_IsNotFound"},
	"evict ignores the fence":            {func(d *null.Driver) backends.Driver { return evictForces{d} }, "Evict_OlderEpoch_IsRefused"},
	"evict loses a resize beside it":     {newEvictTorn, "Evict_BesideResizes_BothTakeEffect"},
	"evict does not name clients":        {func(d *null.Driver) backends.Driver { return evictNameless{d} }, "Evict_Holder_EndsItsReservation"},
	"the context is ignored":             {func(d *null.Driver) backends.Driver { return waitsForEver{d} }, "Context_CancelledBefore_ReturnsAndRepeatHeals"},
}

// onDisk are the faults of a disk, a driver that has every ability.
func onDisk() map[string]diskPlant {
	all := make(map[string]diskPlant)
	for _, some := range []map[string]diskPlant{snapshotPlants, clonePlants, contentPlants, foreignPlants} {
		maps.Copy(all, some)
	}
	return all
}

func TestRun_PlantedFault_IsCaught(t *testing.T) {
	caught := maps.Clone(killPlants)
	for name, p := range plants {
		caught[name] = p.caught
	}
	for name, p := range onDisk() {
		caught[name] = p.caught
	}
	for name, p := range importPlants {
		caught[name] = p.caught
	}
	for name, by := range caught {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			output, err := runSuite(t, name, "/^"+by+"$")
			if _, failed := errors.AsType[*exec.ExitError](err); !failed {
				t.Fatalf("suite: got %v, want it to fail; output:\n%s", err, output)
			}
			fail := regexp.MustCompile(`--- FAIL: TestPlanted/` + by + ` `)
			if !fail.Match(output) {
				t.Errorf("suite: got no failure of %s; output:\n%s", by, output)
			}
		})
	}
}

func TestRun_NoFault_Passes(t *testing.T) {
	for _, name := range []string{nothingPlanted, nothingOnDisk, nothingKilled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if output, err := runSuite(t, name, ""); err != nil {
				t.Errorf("suite: got %v, want success; output:\n%s", err, output)
			}
		})
	}
}

// Stores without a fault.
const (
	nothingPlanted = "nothing"
	nothingOnDisk  = "nothing on a disk"
	nothingKilled  = "nothing killed"
)

// runSuite runs TestPlanted, or the given cases of it, in a child process, which may fail
// without failing this one.
func runSuite(t *testing.T, plant, cases string) ([]byte, error) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPlanted$"+cases, "-test.v")
	child.Env = append(os.Environ(), plantVariable+"="+plant)
	return child.CombinedOutput()
}

func TestPlanted(t *testing.T) {
	name := os.Getenv(plantVariable)
	if name == "" {
		t.Skip("runs only in the child processes of TestRun_PlantedFault_IsCaught")
	}
	h, err := plantedHarness(t, name)
	if err != nil {
		t.Fatal(err)
	}
	if c := backendtest.Run(t, h); c.Complete() && t.Failed() {
		t.Error("certificate of a failed run: got a complete one")
	}
}

func plantedHarness(t *testing.T, name string) (backendtest.Harness, error) {
	onNull := &harness{store: null.New(null.Options{}), plant: func(d *null.Driver) backends.Driver { return d }}
	whole := diskHarness{disk: newDisk(), plant: func(d *disk) backends.Driver { return d }}
	if p, planted := importPlants[name]; planted {
		return fileHarness{dir: t.TempDir(), plant: p.plant}, nil
	}
	if p, planted := plants[name]; planted {
		onNull.plant = p.plant
		return onNull, nil
	}
	if p, planted := onDisk()[name]; planted {
		f := &faulty{disk: whole.disk}
		p.plant(f)
		whole.plant = func(*disk) backends.Driver { return f.handle() }
		return whole, nil
	}
	if _, planted := killPlants[name]; planted {
		return killHarness{t.TempDir(), name}, nil
	}
	switch name {
	case nothingPlanted:
		return onNull, nil
	case nothingOnDisk:
		return whole, nil
	case nothingKilled:
		return killHarness{t.TempDir(), name}, nil
	}
	return nil, fmt.Errorf("no such fault: %q", name)
}

type createOnce struct{ *null.Driver }

func (d createOnce) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if _, err := d.Get(ctx, ref.Key); err == nil {
		return backends.Errorf(volume.AlreadyExists, "volume is here")
	}
	return d.Driver.Create(ctx, ref, size)
}

type createAnySize struct{ *null.Driver }

func (d createAnySize) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if err := d.Driver.Create(ctx, ref, size); !errors.Is(err, volume.FailedPrecondition) {
		return err
	}
	return nil
}

type createOver struct{ *null.Driver }

func (d createOver) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if found, err := d.Get(ctx, ref.Key); err == nil && found.ID != ref.ID {
		return errors.Join(d.Driver.Delete(ctx, found.Ref), d.Driver.Create(ctx, ref, size))
	}
	return d.Driver.Create(ctx, ref, size)
}

type createRounded struct{ *null.Driver }

func (d createRounded) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	return d.Driver.Create(ctx, ref, (size+volume.MiB-1)/volume.MiB*volume.MiB)
}

type deleteStrict struct{ *null.Driver }

func (d deleteStrict) Delete(ctx context.Context, ref backends.Ref) error {
	if _, err := d.Get(ctx, ref.Key); err != nil {
		return err
	}
	return d.Driver.Delete(ctx, ref)
}

type deleteAny struct{ *null.Driver }

func (d deleteAny) Delete(ctx context.Context, ref backends.Ref) error {
	if found, err := d.Get(ctx, ref.Key); err == nil {
		ref = found.Ref
	}
	return d.Driver.Delete(ctx, ref)
}

type deleteHeld struct{ *null.Driver }

func (d deleteHeld) Delete(ctx context.Context, ref backends.Ref) error {
	if found, err := d.Get(ctx, ref.Key); err == nil && len(found.Attachments) > 0 {
		_ = d.Detach(ctx, ref, found.Attachments[0].Node)
	}
	return d.Driver.Delete(ctx, ref)
}

type attachSteals struct{ *null.Driver }

func (d attachSteals) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	if found, err := d.Get(ctx, ref.Key); err == nil && len(found.Attachments) > 0 {
		_ = d.Detach(ctx, ref, found.Attachments[0].Node)
	}
	return d.Driver.Attach(ctx, ref, node, mode)
}

type attachSilent struct{ *null.Driver }

func (d attachSilent) Attach(ctx context.Context, ref backends.Ref, node volume.Node, mode volume.Mode) (volume.Attachment, error) {
	attachment, err := d.Driver.Attach(ctx, ref, node, mode)
	if errors.Is(err, volume.FailedPrecondition) {
		err = backends.Errorf(volume.FailedPrecondition, "held")
	}
	return attachment, err
}

type detachAny struct{ *null.Driver }

func (d detachAny) Detach(ctx context.Context, ref backends.Ref, node volume.Node) error {
	if found, err := d.Get(ctx, ref.Key); err == nil && len(found.Attachments) > 0 {
		node = found.Attachments[0].Node
	}
	return d.Driver.Detach(ctx, ref, node)
}

type resizeShrinks struct{ *null.Driver }

func (d resizeShrinks) Resize(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if found, err := d.Get(ctx, ref.Key); err == nil && found.Size > size {
		return nil
	}
	return d.Driver.Resize(ctx, ref, size)
}

type resizeDenied struct{ *null.Driver }

func (d resizeDenied) Resize(context.Context, backends.Ref, volume.Bytes) error {
	return backends.Errorf(volume.Unsupported, "no resize here")
}

type getUnclassified struct{ *null.Driver }

func (d getUnclassified) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	found, err := d.Driver.Get(ctx, key)
	if err != nil {
		return found, errors.New("not here")
	}
	return found, nil
}

type listOmits struct{ *null.Driver }

func (d listOmits) List(ctx context.Context, yield func(backends.Object) bool) error {
	return d.Driver.List(ctx, func(o backends.Object) bool { return len(o.Attachments) > 0 || yield(o) })
}

type listGoesOn struct{ *null.Driver }

func (d listGoesOn) List(ctx context.Context, yield func(backends.Object) bool) error {
	return d.Driver.List(ctx, func(o backends.Object) bool {
		yield(o)
		return true
	})
}

// forgetful is the fault of block-storage-api's Ceph driver: it knew only the volumes
// that its own process had made.
type forgetful struct {
	*null.Driver
	made sync.Map
}

func (d *forgetful) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	d.made.Store(ref.Key, true)
	return d.Driver.Create(ctx, ref, size)
}

func (d *forgetful) Get(ctx context.Context, key volume.Key) (backends.Object, error) {
	if _, made := d.made.Load(key); !made {
		return backends.Object{}, backends.Errorf(volume.NotFound, "never made here")
	}
	return d.Driver.Get(ctx, key)
}

type waitsForEver struct{ *null.Driver }

func (d waitsForEver) Create(ctx context.Context, ref backends.Ref, size volume.Bytes) error {
	if ctx.Err() != nil {
		select {}
	}
	return d.Driver.Create(ctx, ref, size)
}
