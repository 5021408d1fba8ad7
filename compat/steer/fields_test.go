package steer

import (
	"bytes"
	"encoding/json"
	"math/rand"
	"reflect"
	"testing"
	"testing/quick"

	"github.com/reqmail/reqmail/compat/jsonl"
)

// Fields says what the tags say: what is written is what encoding/json writes,
// and is read as that reads it.
func TestFields(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for _, v := range []jsonl.Object{
		&Request{}, &Answer{}, &Query{}, &Filter{}, &Act{}, &Name{}, &Result{}, &Failure{}, &Rule{}, &Status{},
		&ChannelStatus{}, &Rates{}, &Delivery{}, &Message{}, &HoldOrder{}, &Recipient{},
	} {
		kind := reflect.TypeOf(v).Elem()
		for range 100 {
			value, ok := quick.Value(kind, random)
			if !ok {
				t.Fatal(kind)
			}
			filled := reflect.New(kind)
			filled.Elem().Set(value)
			want, err := json.Marshal(filled.Interface())
			if err != nil {
				t.Fatal(err)
			}
			if got := jsonl.Append(nil, filled.Interface().(jsonl.Object)); !bytes.Equal(got, want) {
				t.Fatalf("%v: got  %s\nwant %s", kind, got, want)
			}
			ours, standard := reflect.New(kind), reflect.New(kind)
			if err := jsonl.Decode(want, ours.Interface().(jsonl.Object)); err != nil {
				t.Fatalf("%v: %v", kind, err)
			}
			if err := json.Unmarshal(want, standard.Interface()); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(ours.Interface(), standard.Interface()) {
				t.Fatalf("%v: got %+v, want %+v", kind, ours, standard)
			}
		}
	}
}
