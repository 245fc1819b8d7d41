package local_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jetvol/jetvol/backends"
	"github.com/jetvol/jetvol/backends/local"
	"github.com/jetvol/jetvol/volume"
)

// calls are all calls that concern one volume.
func calls(d *local.Driver, ref backends.Ref) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"create": func(ctx context.Context) error { return d.Create(ctx, ref, volume.MiB) },
		"delete": func(ctx context.Context) error { return d.Delete(ctx, ref) },
		"get":    func(ctx context.Context) error { _, err := d.Get(ctx, ref.Key); return err },
		"attach": func(ctx context.Context) error {
			_, err := d.Attach(ctx, ref, "n1", volume.ReadWrite)
			return err
		},
		"detach": func(ctx context.Context) error { return d.Detach(ctx, ref, "n1") },
		"evict": func(ctx context.Context) error {
			_, err := d.Evict(ctx, ref, "n1")
			return err
		},
		"resize": func(ctx context.Context) error { return d.Resize(ctx, ref, volume.GiB) },
		"snapshot": func(ctx context.Context) error {
			_, err := d.CreateSnapshot(ctx, ref, "monday")
			return err
		},
		"snapshots": func(ctx context.Context) error { _, err := d.ListSnapshots(ctx, ref); return err },
		"delete_snapshot": func(ctx context.Context) error {
			return d.DeleteSnapshot(ctx, ref, "monday")
		},
		"restore": func(ctx context.Context) error { return d.Restore(ctx, ref, "monday") },
		"clone": func(ctx context.Context) error {
			return d.Clone(ctx, ref, "monday", refOf("copy", 1), volume.MiB)
		},
		"flatten":  func(ctx context.Context) error { return d.Flatten(ctx, ref) },
		"children": func(ctx context.Context) error { _, err := d.Children(ctx, ref, "monday"); return err },
		"usage":    func(ctx context.Context) error { _, err := d.Usage(ctx, ref); return err },
		"list":     func(ctx context.Context) error { return d.List(ctx, func(backends.Object) bool { return true }) },
		"health":   func(ctx context.Context) error { _, err := d.Health(ctx); return err },
	}
}

// wantAll wants every one of the named calls refused with the class and a text that
// contains name.
func wantAll(t *testing.T, d *local.Driver, ref backends.Ref, class volume.Class, name string, verbs ...string) {
	t.Helper()
	for verb, call := range calls(d, ref) {
		if !slices.Contains(verbs, verb) {
			continue
		}
		err := call(t.Context())
		if !errors.Is(err, class) || volume.ClassOf(err) != class {
			t.Errorf("%s: got %v, want class %s", verb, err, class)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %q, want %s in it", verb, err, name)
		}
	}
}

var everyCall = append([]string{"create", "delete", "get", "attach", "detach", "evict", "resize", "list", "health"}, snapshotCalls...)

// snapshotCalls are those for snapshots and clones, and usage.
var snapshotCalls = []string{"snapshot", "snapshots", "delete_snapshot", "restore", "clone", "flatten", "children", "usage"}

func opened(t *testing.T) (store, *local.Driver) {
	t.Helper()
	s := newStore(t)
	d := s.open(t)
	t.Cleanup(func() { must(t, d.Close()) })
	return s, d
}

func TestOpen_DirectoryOrParentMissing(t *testing.T) {
	parent := t.TempDir()
	d, err := local.Open(local.Options{Dir: filepath.Join(parent, "volumes")})
	must(t, err)
	must(t, d.Close())
	missing := filepath.Join(parent, "no", "volumes")
	if _, err := local.Open(local.Options{Dir: missing}); !errors.Is(err, volume.Unavailable) || !strings.Contains(err.Error(), missing) {
		t.Errorf("open without a parent: got %v, want %v naming %s", err, volume.Unavailable, missing)
	}
	file := filepath.Join(parent, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := local.Open(local.Options{Dir: file}); !errors.Is(err, volume.Unavailable) {
		t.Errorf("open of a file: got %v, want %v", err, volume.Unavailable)
	}
	if _, err := local.Open(local.Options{}); !errors.Is(err, volume.InvalidArgument) {
		t.Errorf("open of nothing: got %v, want %v", err, volume.InvalidArgument)
	}
}

func TestDriver_DirectoryGone_IsUnavailableUntilBack(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(t *testing.T, dir string)
	}{
		{"Moved", func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".away")) }},
		{"ReplacedByEmptyOne", func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+".away"))
			must(t, os.Mkdir(dir, 0o700))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, d := opened(t)
			ref := refOf("db-01", 1)
			must(t, d.Create(t.Context(), ref, volume.MiB))
			c.harm(t, s.dir)
			wantAll(t, d, ref, volume.Unavailable, s.dir, everyCall...)
			must(t, os.RemoveAll(s.dir))
			must(t, os.Rename(s.dir+".away", s.dir))
			if _, err := d.Get(t.Context(), ref.Key); err != nil {
				t.Errorf("get when the directory is back: got %v, want no error", err)
			}
		})
	}
}

func TestDriver_DirectoryRemoved_IsUnavailable(t *testing.T) {
	s, d := opened(t)
	must(t, os.RemoveAll(s.dir))
	wantAll(t, d, refOf("db-01", 1), volume.Unavailable, s.dir, everyCall...)
}

func TestDriver_LinkPlanted_IsRefusedAndNotFollowed(t *testing.T) {
	for _, suffix := range []string{".img", ".json"} {
		for _, place := range []string{"inside", "outside"} {
			t.Run(suffix+" "+place, func(t *testing.T) {
				s, d := opened(t)
				ref := refOf("db-01", 1)
				must(t, d.Create(t.Context(), ref, volume.MiB))
				link := filepath.Join(s.dir, ref.Key.String()+suffix)
				target := filepath.Join(s.dir, "..", "target")
				if place == "inside" {
					target = filepath.Join(s.dir, "target")
				}
				// The target is the real file, so that only the link can be the reason.
				must(t, os.Rename(link, target))
				before, err := os.Stat(target)
				must(t, err)
				must(t, os.Symlink(target, link))
				wantAll(t, d, ref, volume.FailedPrecondition, link, "create", "delete", "get", "attach", "detach", "evict", "resize", "snapshot", "restore", "flatten", "usage")
				wantAll(t, d, ref, volume.Internal, link, "list")
				after, err := os.Stat(target)
				must(t, err)
				if before.Size() != after.Size() || before.ModTime() != after.ModTime() {
					t.Errorf("target of the link: got %d bytes of %s, want it unchanged", after.Size(), after.ModTime())
				}
			})
		}
	}
}

func TestDriver_LinkPlantedBeforeCreate_IsRefused(t *testing.T) {
	s, d := opened(t)
	ref := refOf("db-01", 1)
	target := filepath.Join(s.dir, "..", "target")
	must(t, os.Symlink(target, filepath.Join(s.dir, "default.db-01.img")))
	wantAll(t, d, ref, volume.FailedPrecondition, "symbolic link", "create", "delete", "attach")
	if _, err := os.Lstat(target); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("target of the link: got %v, want it not made", err)
	}
}

func TestDriver_PipeOrDirectoryPlanted_IsRefused(t *testing.T) {
	s, d := opened(t)
	must(t, syscall.Mkfifo(filepath.Join(s.dir, "default.db-01.img"), 0o600))
	must(t, os.Mkdir(filepath.Join(s.dir, "default.db-02.json"), 0o700))
	wantAll(t, d, refOf("db-01", 1), volume.FailedPrecondition, "not a regular file", "create", "delete", "attach")
	wantAll(t, d, refOf("db-02", 1), volume.FailedPrecondition, "not a regular file", "create", "delete", "get")
}

func TestDriver_HostileNames_AreInvalidArgument(t *testing.T) {
	s, d := opened(t)
	for _, name := range []string{"", ".", "..", "../../etc", "a/b", "a\x00b", "a\nb", "UPPER", strings.Repeat("a", 64)} {
		ref := refOf(volume.Name(name), 1)
		wantAll(t, d, ref, volume.InvalidArgument, "volume name", "create", "delete", "get", "attach", "detach", "evict", "resize")
		wantAll(t, d, ref, volume.InvalidArgument, "volume name", snapshotCalls...)
	}
	for _, name := range []volume.SnapshotName{"", "..", "../a", "a/b", "a@b", "a\x00b"} {
		for call, err := range snapshotsNamed(t.Context(), d, refOf("db-01", 1), name) {
			if !errors.Is(err, volume.InvalidArgument) || !strings.Contains(err.Error(), "snapshot name") {
				t.Errorf("%s of %q: got %v, want %v", call, name, err, volume.InvalidArgument)
			}
		}
	}
	if files := s.files(t); len(files) != 0 {
		t.Errorf("files: got %q, want none", files)
	}
}

// snapshotsNamed makes the calls that get the name of a snapshot.
func snapshotsNamed(ctx context.Context, d *local.Driver, ref backends.Ref, name volume.SnapshotName) map[string]error {
	_, snapshotErr := d.CreateSnapshot(ctx, ref, name)
	_, childrenErr := d.Children(ctx, ref, name)
	return map[string]error{
		"snapshot":        snapshotErr,
		"delete_snapshot": d.DeleteSnapshot(ctx, ref, name),
		"restore":         d.Restore(ctx, ref, name),
		"clone":           d.Clone(ctx, ref, name, refOf("copy", 1), volume.MiB),
		"children":        childrenErr,
	}
}

func TestDriver_FilesDamaged_IsInternalNamingThem(t *testing.T) {
	const image, sidecar = "default.db-01.img", "default.db-01.json"
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		file   string
		verbs  []string
	}{
		{"SidecarNotJSON", write(sidecar, "{"), sidecar, []string{"create", "delete", "get", "attach", "detach", "evict", "resize", "list"}},
		{"SidecarEmpty", write(sidecar, ""), sidecar, []string{"create", "delete", "get", "list"}},
		{"SidecarOfOtherVolume", write(sidecar, `{"schema_version":1,"id":"default.x.1","key":"default.x","size_bytes":1}`), sidecar, []string{"create", "delete", "get"}},
		{"SidecarOfLaterVersion", write(sidecar, `{"schema_version":2}`), sidecar, []string{"create", "delete", "get", "list"}},
		{"ImageMissing", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, image))) }, image, []string{"create", "get", "attach", "detach", "evict", "resize", "list"}},
		{"ImageShort", func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, image), 1)) }, image, []string{"get", "attach", "detach", "evict", "resize", "list"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, d := opened(t)
			ref := refOf("db-01", 1)
			must(t, d.Create(t.Context(), ref, volume.MiB))
			must(t, d.Create(t.Context(), refOf("db-02", 1), volume.MiB))
			c.damage(t, s.dir)
			wantAll(t, d, ref, volume.Internal, c.file, c.verbs...)
			healthy := 0
			_ = d.List(t.Context(), func(backends.Object) bool { healthy++; return true })
			if healthy != 1 {
				t.Errorf("healthy volumes listed beside the damaged one: got %d, want 1", healthy)
			}
		})
	}
}

func write(name, content string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
}

func TestDriver_SizeAboveFileSystemLimit_IsResourceExhausted(t *testing.T) {
	s, d := opened(t)
	ref := refOf("db-01", 1)
	limit := fileSizeLimit(t)
	if err := d.Create(t.Context(), ref, limit+1); !errors.Is(err, volume.ResourceExhausted) {
		t.Errorf("create: got %v, want %v", err, volume.ResourceExhausted)
	}
	must(t, d.Create(t.Context(), ref, volume.MiB))
	wantAll(t, d, ref, volume.ResourceExhausted, s.dir, "resize")
	object, err := d.Get(t.Context(), ref.Key)
	must(t, err)
	if object.Size != volume.MiB {
		t.Errorf("size after a refused resize: got %s, want %s", object.Size, volume.MiB)
	}
}

// fileSizeLimit makes the kernel refuse files above 512 MiB (EFBIG) until the test ends. It
// holds for the whole process, which also writes the go command's log of the files that the
// tests looked at: some 70 MB.
func fileSizeLimit(t *testing.T) volume.Bytes {
	t.Helper()
	const limit = 512 * volume.MiB
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: uint64(limit), Max: old.Max}))
	t.Cleanup(func() { must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)) })
	return limit
}

func TestDriver_DiskFull_IsResourceExhaustedAndHeals(t *testing.T) {
	dir := smallFileSystem(t)
	d, err := local.Open(local.Options{Dir: filepath.Join(dir, "volumes")})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	existing, wanted := refOf("db-01", 1), refOf("db-02", 1)
	must(t, d.Create(t.Context(), existing, volume.MiB))

	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	wantAll(t, d, existing, volume.ResourceExhausted, dir, "attach", "resize")
	wantAll(t, d, wanted, volume.ResourceExhausted, dir, "create")
	wantAll(t, d, wanted, volume.NotFound, "", "get")
	object, err := d.Get(t.Context(), existing.Key)
	must(t, err)
	if object.Size != volume.MiB || len(object.Attachments) > 0 {
		t.Errorf("volume on a full disk: got %+v, want it unchanged", object)
	}

	must(t, os.Remove(filler))
	must(t, d.Create(t.Context(), wanted, volume.MiB))
	must(t, d.Delete(t.Context(), wanted))
	must(t, d.Delete(t.Context(), existing))
	entries, err := os.ReadDir(filepath.Join(dir, "volumes"))
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("files left: got %v, want %s only", entries, local.FencesDir)
	}
}

func TestSnapshots_DiskFull_AreResourceExhaustedAndHeal(t *testing.T) {
	dir := smallFileSystem(t)
	s := store{dir: filepath.Join(dir, "volumes"), journal: filepath.Join(t.TempDir(), "journal")}
	d := s.open(t)
	t.Cleanup(func() { must(t, d.Close()) })
	ref, clone := refOf("db-01", 1), refOf("db-02", 1)
	must(t, d.Create(t.Context(), ref, volume.MiB))
	s.WriteContent(t, ref, make([]byte, 400*volume.KiB), 0)
	_, err := d.CreateSnapshot(t.Context(), ref, "monday")
	must(t, err)
	before := s.files(t)

	calls := map[string]func() error{
		"snapshot": func() error { _, err := d.CreateSnapshot(t.Context(), ref, "tuesday"); return err },
		"restore":  func() error { return d.Restore(t.Context(), ref, "monday") },
		"clone":    func() error { return d.Clone(t.Context(), ref, "monday", clone, volume.MiB) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, volume.ResourceExhausted) {
			t.Errorf("%s on a full disk: got %v, want %v", name, err, volume.ResourceExhausted)
		}
		if files := s.files(t); !slices.Equal(files, before) {
			t.Errorf("files after %s on a full disk: got %v, want %v", name, files, before)
		}
	}
	must(t, d.DeleteSnapshot(t.Context(), ref, "monday"))
	must(t, calls["snapshot"]())
}

func TestDriver_FileSystemReadOnly_IsUnavailable(t *testing.T) {
	dir := smallFileSystem(t)
	d, err := local.Open(local.Options{Dir: filepath.Join(dir, "volumes")})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	ref := refOf("db-01", 1)
	must(t, d.Create(t.Context(), ref, volume.KiB))
	must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	wantAll(t, d, ref, volume.Unavailable, dir, "create", "delete", "attach", "resize", "health")
	wantAll(t, d, refOf("db-02", 1), volume.Unavailable, dir, "create")
	if _, err := d.Get(t.Context(), ref.Key); err != nil {
		t.Errorf("get: got %v, want no error", err)
	}
}

// smallFileSystem mounts a file system of 1 MiB, which needs root.
func smallFileSystem(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("jetvol-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("missing: permission to mount a tmpfs of 1 MiB: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	must(t, err)
	defer f.Close()
	block := make([]byte, 4096)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatalf("fill the disk: got %v, want %v in the end", err, syscall.ENOSPC)
		}
	}
}

func TestHealth_Asked_TellsFreeBytes(t *testing.T) {
	s, d := opened(t)
	health, err := d.Health(t.Context())
	must(t, err)
	if health.Driver != local.DriverName || health.Version == "" || health.Facts["directory"] != s.dir {
		t.Errorf("health: got %+v, want driver %s in %s", health, local.DriverName, s.dir)
	}
	if free, err := strconv.ParseUint(health.Facts["free_bytes"], 10, 64); err != nil || free == 0 {
		t.Errorf("free_bytes: got %q, want a number above 0", health.Facts["free_bytes"])
	}
}

func TestDriver_ImageOfEarlierLife_ShowsNoOldData(t *testing.T) {
	s, d := opened(t)
	ref := refOf("db-01", 2)
	image := filepath.Join(s.dir, "default.db-01.img")
	must(t, os.WriteFile(image, []byte("secret of the life before"), 0o600))
	must(t, d.Create(t.Context(), ref, 4096))
	content, err := os.ReadFile(image)
	must(t, err)
	if len(content) != 4096 || strings.Trim(string(content), "\x00") != "" {
		t.Errorf("new image: got %d bytes with %.30q, want 4096 zeros", len(content), strings.Trim(string(content), "\x00"))
	}
}

func TestDriver_Attach_TellsAbsolutePath(t *testing.T) {
	t.Chdir(t.TempDir())
	d, err := local.Open(local.Options{Dir: "volumes"})
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	ref := refOf("db-01", 1)
	must(t, d.Create(t.Context(), ref, 3*volume.MiB))
	attachment, err := d.Attach(t.Context(), ref, "n1", volume.ReadWrite)
	must(t, err)
	path := attachment.Connection["path"]
	info, err := os.Stat(path)
	must(t, err)
	if !filepath.IsAbs(path) || info.Size() != int64(3*volume.MiB) {
		t.Errorf("attach: got path %q of %d bytes, want an absolute one of %d", path, info.Size(), 3*volume.MiB)
	}
}

func TestDriver_ImageLongerThanRecorded_ResizeSetsBoth(t *testing.T) {
	s, d := opened(t)
	ref := refOf("db-01", 1)
	image := filepath.Join(s.dir, "default.db-01.img")
	must(t, d.Create(t.Context(), ref, volume.MiB))
	for _, wanted := range []volume.Bytes{2 * volume.MiB, 2 * volume.MiB, 3 * volume.MiB} {
		must(t, os.Truncate(image, int64(8*volume.MiB))) // as a killed resize to 8 MiB left it
		must(t, d.Resize(t.Context(), ref, wanted))
		object, err := d.Get(t.Context(), ref.Key)
		must(t, err)
		info, err := os.Stat(image)
		must(t, err)
		if object.Size != wanted || info.Size() != int64(wanted) {
			t.Errorf("after resize: got %s recorded and an image of %d bytes, want %s for both", object.Size, info.Size(), wanted)
		}
	}
}
