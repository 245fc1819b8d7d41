package volume_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"reflect"
	"strconv"
	"testing"

	"github.com/jetvol/jetvol/volume"
)

func ExampleErrorf() {
	err := fmt.Errorf("attach volume db-01: %w", volume.Errorf(volume.ErrNodeMismatch, "it is on node n2"))
	fmt.Println(err)
	fmt.Println(errors.Is(err, volume.ErrNodeMismatch), errors.Is(err, volume.FailedPrecondition), errors.Is(err, volume.Busy))
	fmt.Println(volume.CodeOf(err), volume.ClassOf(err))
	// Output:
	// attach volume db-01: it is on node n2: node_mismatch
	// true true false
	// node_mismatch failed_precondition
}

// classes are all of them; only the first three retry.
var classes = []volume.Class{
	volume.Busy, volume.Unavailable, volume.Aborted,
	volume.NotFound, volume.AlreadyExists, volume.InvalidArgument, volume.FailedPrecondition,
	volume.ResourceExhausted, volume.Unsupported, volume.Internal,
}

// bare is an error that is known by a code alone.
type bare struct{ error }

func (bare) Unwrap() error { return volume.ErrQuotaExceeded }

func TestCode_OfAnErrorThatUnwrapsToIt_HasItsClass(t *testing.T) {
	err := fmt.Errorf("create: %w", bare{io.EOF})
	for _, class := range classes {
		if got, want := errors.Is(err, class), class == volume.ResourceExhausted; got != want {
			t.Errorf("errors.Is(%v, %s): got %v, want %v", err, class, got, want)
		}
	}
	if !errors.Is(err, volume.ErrQuotaExceeded) || errors.Is(err, volume.ErrBackendExhausted) {
		t.Error("got another code of the class, want its own only")
	}
}

func TestClass_Retryable(t *testing.T) {
	for i, class := range classes {
		if got, want := class.Retryable(), i < 3; got != want {
			t.Errorf("class %s: got %v, want %v", class, got, want)
		}
	}
	if volume.Class("").Retryable() || volume.Class("else").Retryable() {
		t.Error("got an unknown class retryable")
	}
}

// TestCodes_EveryConstantHasAClass reads the source: a new code cannot be forgotten.
func TestCodes_EveryConstantHasAClass(t *testing.T) {
	declared := declaredConstants(t, "errors.go", "Code")
	codes := volume.Codes()
	known := map[volume.Class]bool{}
	for _, class := range classes {
		known[class] = true
	}
	for _, code := range declared {
		class, ok := codes[volume.Code(code)]
		if !ok || !known[class] {
			t.Errorf("code %s: got class %q, want one of %v", code, class, classes)
		}
		if got := volume.Code(code).Class(); got != class {
			t.Errorf("code %s: got class %q, want %q", code, got, class)
		}
	}
	if len(declared) != len(codes) || len(declared) < 20 {
		t.Errorf("got %d codes in the table, want the %d declared ones", len(codes), len(declared))
	}
	if got := volume.Code("of a later version").Class(); got != volume.Internal {
		t.Errorf("got class %s of an unknown code, want %s", got, volume.Internal)
	}
}

// declaredConstants returns the values of the constants of the given type.
func declaredConstants(t *testing.T, file, typeName string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if named, ok := spec.Type.(*ast.Ident); ok && named.Name == typeName && len(spec.Values) == 1 {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}

func TestError_IsAndAs(t *testing.T) {
	err := fmt.Errorf("read: %w", volume.Errorf(volume.ErrInvalidPayload, "decode: %w", io.ErrUnexpectedEOF))
	for _, target := range []error{volume.ErrInvalidPayload, volume.InvalidArgument, io.ErrUnexpectedEOF} {
		if !errors.Is(err, target) {
			t.Errorf("got no match with %v", target)
		}
	}
	for _, target := range []error{volume.ErrInvalidArgument, volume.NotFound, volume.Internal, io.EOF} {
		if errors.Is(err, target) {
			t.Errorf("got a match with %v", target)
		}
	}
	typed, ok := errors.AsType[*volume.Error](err)
	if !ok || typed.Code != volume.ErrInvalidPayload || typed.Unwrap() != io.ErrUnexpectedEOF {
		t.Errorf("got %+v, %v", typed, ok)
	}
	if want := "read: decode: unexpected EOF: invalid_payload"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestErrorf_KeepsEveryCause(t *testing.T) {
	err := volume.Errorf(volume.ErrInternal, "%w and %w", io.EOF, io.ErrClosedPipe)
	if !errors.Is(err, io.EOF) || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v that wraps neither or only one of its causes", err)
	}
	if cause := volume.Errorf(volume.ErrInternal, "no cause").Unwrap(); cause != nil {
		t.Errorf("got cause %v, want none", cause)
	}
}

// away tells its class by its method alone.
type away struct{}

func (away) Error() string        { return "away" }
func (away) Is(target error) bool { return target == error(volume.Unavailable) }

func TestCodeOfAndClassOf(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		code  volume.Code
		class volume.Class
	}{
		{"no error", nil, volume.ErrInternal, ""},
		{"foreign error", io.EOF, volume.ErrInternal, volume.Internal},
		{"ended context", context.Canceled, volume.ErrInternal, volume.Internal},
		{"bare code", volume.ErrVolumeExists, volume.ErrVolumeExists, volume.AlreadyExists},
		{"wrapped code", fmt.Errorf("x: %w", volume.ErrBackendBusy), volume.ErrBackendBusy, volume.Busy},
		{"error", volume.Errorf(volume.ErrCancelled, "x"), volume.ErrCancelled, volume.FailedPrecondition},
		{"bare class", volume.Unavailable, volume.ErrInternal, volume.Unavailable},
		{"wrapped class", fmt.Errorf("x: %w", volume.Aborted), volume.ErrInternal, volume.Aborted},
		{"outer class wins", fmt.Errorf("%w: %w", volume.Unavailable, fmt.Errorf("x: %w", volume.NotFound)), volume.ErrInternal, volume.Unavailable},
		{"code before class", fmt.Errorf("%w: %w", volume.Unavailable, volume.ErrInvalidName), volume.ErrInvalidName, volume.InvalidArgument},
		{"internal by code", volume.Errorf(volume.ErrInternal, "x: %w", volume.Busy), volume.ErrInternal, volume.Internal},
		{"class by method", fmt.Errorf("x: %w", away{}), volume.ErrInternal, volume.Unavailable},
		{"unknown code", volume.Code("else"), "else", volume.Internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 50 { // the answer must not depend on the order of a map
				if code, class := volume.CodeOf(test.err), volume.ClassOf(test.err); code != test.code || class != test.class {
					t.Fatalf("got %s, %s, want %s, %s", code, class, test.code, test.class)
				}
			}
		})
	}
}

func TestBackendError_EveryClassHasACode(t *testing.T) {
	for _, class := range classes {
		cause := fmt.Errorf("image locked: %w", class)
		err := volume.BackendError(cause)
		if err.Code.Class() != class || !errors.Is(err, class) || !errors.Is(err, cause) {
			t.Errorf("class %s: got code %s of class %s", class, err.Code, err.Code.Class())
		}
	}
	fenced := fmt.Errorf("epoch 3: %w", volume.ErrFenced)
	if err := volume.BackendError(fenced); err.Code != volume.ErrFenced || !errors.Is(err, volume.Aborted) || !errors.Is(err, fenced) {
		t.Errorf("got %s for a fenced call, want %s", err.Code, volume.ErrFenced)
	}
	if err := volume.BackendError(io.EOF); err.Code != volume.ErrBackendInternal {
		t.Errorf("got %s for an error without a class, want %s", err.Code, volume.ErrBackendInternal)
	}
}

func TestNewFailure(t *testing.T) {
	got := *volume.NewFailure(volume.BackendError(fmt.Errorf("pool full: %w", volume.ResourceExhausted)))
	want := volume.Failure{
		Code: volume.ErrBackendExhausted, Class: volume.ResourceExhausted,
		Message: "pool full: resource_exhausted",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
