package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/quick"
)

type word string

// thing has fields of every kind.
type thing struct {
	Text   string   `json:"text"`
	Word   word     `json:"word,omitempty"`
	Flag   bool     `json:"flag"`
	Spare  bool     `json:"spare,omitempty"`
	Int    int      `json:"int"`
	Wide   int64    `json:"wide,omitempty"`
	Uint   uint64   `json:"uint"`
	Uint2  uint64   `json:"uint2,omitempty"`
	Part   part     `json:"part"`
	Other  *part    `json:"other,omitempty"`
	Most   *int64   `json:"most,omitempty"`
	Parts  []part   `json:"parts,omitempty"`
	Words  []word   `json:"words,omitempty"`
	Uints  []uint64 `json:"uints,omitempty"`
	Again  *thing   `json:"again,omitempty"`
	Tagged string   `json:"<&>"`
}

type part struct {
	N int64  `json:"n,omitempty"`
	S string `json:"s"`
}

func (t *thing) Fields(f *Fields) {
	String(f, "text", &t.Text, Always)
	String(f, "word", &t.Word, IfSet)
	Bool(f, "flag", &t.Flag, Always)
	Bool(f, "spare", &t.Spare, IfSet)
	Int(f, "int", &t.Int, Always)
	Int(f, "wide", &t.Wide, IfSet)
	Uint(f, "uint", &t.Uint, Always)
	Uint(f, "uint2", &t.Uint2, IfSet)
	Struct(f, "part", &t.Part)
	Pointer(f, "other", &t.Other)
	IntPointer(f, "most", &t.Most)
	Structs(f, "parts", &t.Parts)
	Strings(f, "words", &t.Words)
	Uints(f, "uints", &t.Uints)
	Pointer(f, "again", &t.Again)
	String(f, "<&>", &t.Tagged, Always)
}

func (p *part) Fields(f *Fields) {
	Int(f, "n", &p.N, IfSet)
	String(f, "s", &p.S, Always)
}

// What is written is what encoding/json writes; what that writes is read as
// that reads it.
func TestAgainstStandard(t *testing.T) {
	same := func(v thing) bool {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		got := Append([]byte("{"), &v)[1:]
		if !bytes.Equal(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
			return false
		}
		return readAlike(t, want)
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
}

func readAlike(t *testing.T, line []byte) bool {
	t.Helper()
	var got, want thing
	if err := Decode(line, &got); err != nil {
		t.Errorf("%s: %v", line, err)
		return false
	}
	if err := json.Unmarshal(line, &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s:\n got %+v\nwant %+v, %v", line, got, want, err)
		return false
	}
	return true
}

// Strings in which every byte, and every kind of wrong UTF-8, is found.
func TestStrings(t *testing.T) {
	texts := []string{
		"\u2028\u2029\u202a", "\x80", "a\xc3", "\xe2\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\x80",
		"\ufffd", "😀", "<script>&amp;", strings.Repeat("é\xff", 1000),
	}
	for c := range 256 {
		texts = append(texts, string([]byte{byte(c)}), "a"+string([]byte{byte(c)})+"b")
	}
	for _, text := range texts {
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, text); !bytes.Equal(got, want) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
		readAlike(t, []byte(`{"text":`+string(want)+`}`))
		if text != "\"" && text != "\\" && text[0] >= ' ' && !strings.ContainsFunc(text, func(r rune) bool {
			return r < ' ' || r == '"' || r == '\\'
		}) {
			readAlike(t, []byte(`{"text":"`+text+`"}`))
		}
	}
}

func TestReadAlike(t *testing.T) {
	for _, line := range []string{
		`{}`,
		" \t\r\n{ \"text\" : \"x\" , \"int\" : -0 } \n",
		`{"text":"\"\\\/\b\f\n\r\t\u00e9\u00E9\u0000"}`,
		`{"text":"\ud83d\ude00 \ud83d \ude00 \ud83d\u0041 \ud83dx \ud83d\n"}`,
		`{"\u0074ext":"escaped name"}`,
		`{"int":9223372036854775807,"wide":-9223372036854775808,"uint":18446744073709551615}`,
		`{"most":0}`,
		`{"text":null,"int":null,"part":null,"other":null,"most":null,"parts":null,"words":[null],"parts":[null]}`,
		`{"parts":[],"uints":[ ],"words":["a","b"]}`,
		`{"unknown":{"a":[1,-2.5e+10,0.1E-2,true,false,null,"\u12345",{},[]]},"int":7}`,
		`{"text":"first","text":"last"}`,
		`{"other":{"n":5,"n":6}}`,
	} {
		readAlike(t, []byte(line))
	}
}

// Of two objects or lists with one name the last replaces the first.
func TestLastWins(t *testing.T) {
	var v thing
	line := `{"part":{"n":1},"part":{"s":"x"},"other":{"n":1},"other":{"s":"x"},"parts":[{"n":1},{}],"parts":[{}]}`
	if err := Decode([]byte(line), &v); err != nil {
		t.Fatal(err)
	}
	if want := (part{S: "x"}); v.Part != want || *v.Other != want || len(v.Parts) != 1 || v.Parts[0] != (part{}) {
		t.Errorf("got %+v %+v", v, v.Other)
	}
}

func TestErrors(t *testing.T) {
	for _, row := range []struct{ line, want string }{
		{``, "byte 1: { expected"},
		{"\x00", "byte 1: { expected"},
		{`[]`, "byte 1: { expected"},
		{`null`, "byte 1: { expected"},
		{`{`, "byte 2: string expected"},
		{`{"text"}`, "byte 8: colon expected"},
		{`{"text":}`, "byte 9: string expected"},
		{`{"text":5}`, "byte 9: string expected"},
		{`{"text":"a`, "byte 11: string without an end"},
		{`{"text":"a\`, "byte 12: string without an end"},
		{"{\"text\":\"a\n\"}", "byte 11: control character in a string"},
		{`{"text":"\x"}`, "byte 11: unknown escape"},
		{`{"text":"\u12g4"}`, "byte 12: four hexadecimal digits expected"},
		{`{"text":"\u12`, "byte 12: four hexadecimal digits expected"},
		{`{"flag":1}`, "byte 9: true or false expected"},
		{`{"flag":tru}`, "byte 9: true or false expected"},
		{`{"int":"5"}`, "byte 8: number expected"},
		{`{"int":-}`, "byte 9: number expected"},
		{`{"int":+1}`, "byte 8: number expected"},
		{`{"int":01}`, "byte 9: comma or } expected"},
		{`{"int":1.}`, "byte 10: number expected"},
		{`{"int":1e}`, "byte 10: number expected"},
		{`{"int":1.0}`, "byte 11: number of another kind expected"},
		{`{"int":1e3}`, "byte 11: number of another kind expected"},
		{`{"uint":-1}`, "byte 11: number of another kind expected"},
		{`{"int":9223372036854775808}`, "byte 27: number is out of range"},
		{`{"uint":18446744073709551616}`, "byte 29: number is out of range"},
		{`{"parts":{}}`, "byte 10: [ expected"},
		{`{"parts":[{},]}`, "byte 14: { expected"},
		{`{"parts":[{}}`, "byte 13: comma or ] expected"},
		{`{"part":[]}`, "byte 9: { expected"},
		{`{"int":1,}`, "byte 10: string expected"},
		{`{"int":1 "flag":true}`, "byte 10: comma or } expected"},
		{`{"other":nul}`, "byte 10: { expected"},
		{`{"unknown":nul}`, "byte 12: value expected"},
		{`{"unknown":?}`, "byte 12: number expected"},
		{`{} {}`, "byte 4: end of line expected"},
		{`{"unknown":` + strings.Repeat("[", maxDepth), "byte 76: too many levels"},
		{strings.Repeat(`{"again":`, maxDepth+1), "byte 578: too many levels"},
		{`{"uints":[` + strings.Repeat("0,", maxValues) + `0]}`, "byte 262155: list is too long"},
	} {
		err := Decode([]byte(row.line), &thing{})
		var ours *Error
		if !errors.As(err, &ours) || err.Error() != "JSON, "+row.want {
			t.Errorf("%.40q: got %v, want %s", row.line, err, row.want)
		}
	}
}

// What ours takes the standard takes too, and the same text leads there.
func FuzzDecode(f *testing.F) {
	whole := thing{Text: "\xff\u2028<", Word: "w", Int: math.MinInt64, Uint: math.MaxUint64, Other: &part{N: 1}, Parts: make([]part, 2), Words: []word{""}, Uints: []uint64{0}}
	f.Add(Append(nil, &whole))
	f.Add([]byte(`{"unknown":[{"a":null,"b":[true,1e5,"\ud83d\ude00"]}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var v, again, standard thing
		if Decode(line, &v) != nil {
			return
		}
		if !json.Valid(line) {
			t.Fatalf("%q is no JSON", line)
		}
		text := Append(nil, &v)
		if err := Decode(text, &again); err != nil || !bytes.Equal(Append(nil, &again), text) {
			t.Errorf("%s: %+v, %v", text, again, err)
		}
		if err := json.Unmarshal(text, &standard); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	})
}
