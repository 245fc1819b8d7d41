package bench

import (
	"context"
	"testing"

	"github.com/jetvol/jetvol/internal/natstest"
)

func TestInbox_Answers_ComeToTheirTokens(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	conn := natstest.Start(t).JetStream(t).Conn()
	in, err := newInbox(conn)
	must(t, err)
	toOne, one := in.expect("one")
	toTwo, two := in.expect("two")
	for _, m := range [][2]string{{in.prefix + "nobody", ""}, {toTwo, "2"}, {toTwo, "2 again"}, {toOne, "1"}} {
		must(t, conn.Publish(m[0], []byte(m[1])))
	}
	select {
	case msg := <-one: // the last, so all the others have come
		if string(msg.Data) != "1" {
			t.Errorf("got %s, want 1", msg.Data)
		}
	case <-ctx.Done():
		t.Fatal(ctx.Err())
	}
	if msg := <-two; string(msg.Data) != "2" || len(two) > 0 || len(in.waiting) > 0 {
		t.Errorf("got %s, %d more and %d waited for, want 2 and nothing else", msg.Data, len(two), len(in.waiting))
	}
}
