// Package jsonl writes and reads lines of JSON for programs that are to stay
// small: package encoding/json adds 450 KB to one, for package reflect
// keeps nearly everything alive. It owns the form of JSON and must not know
// what is written in it.
//
// A type names its fields once, for both directions:
//
//	func (p *Point) Fields(f *jsonl.Fields) {
//		jsonl.Int(f, "x", &p.X, jsonl.Always)
//		jsonl.String(f, "label", &p.Label, jsonl.IfSet)
//	}
//
// What is written is, byte for byte, what encoding/json writes for such fields,
// IfSet being its omitempty. What is read differs where encoding/json is lax:
// names count as they are written, of two fields with one name the last
// replaces the first, null is as if the field were not there, and the first
// error ends the reading.
package jsonl

import "strconv"

// Object is what JSON has an object for.
type Object interface {
	// Fields hands each field to f by one of the functions of this package.
	Fields(f *Fields)
}

// When tells which values of a field are written.
type When bool

// IfSet leaves zero values out.
const (
	Always When = true
	IfSet  When = false
)

// Fields is an object being written or read.
type Fields struct {
	out []byte
	in  *reader // nil: writing
	key []byte  // reading: name of the field at hand
	met bool    // reading: a field of that name was met
}

// Append appends an object to a line.
func Append(line []byte, v Object) []byte {
	f := Fields{out: line}
	f.object(v)
	return f.out
}

// Decode reads a line that holds one object; fields that v does not name are
// skipped. Any error is an *Error, and part of v may have been read then.
func Decode(line []byte, v Object) error {
	r := reader{line: line}
	f := Fields{in: &r}
	f.object(v)
	r.next()
	if r.err == nil && r.at < len(line) {
		r.fail("end of line expected")
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

func (f *Fields) object(v Object) {
	if f.in == nil {
		f.out = append(f.out, '{')
		v.Fields(f)
		f.out = append(f.out, '}')
		return
	}
	inner := Fields{in: f.in}
	f.in.members(func(key []byte) {
		inner.key, inner.met = key, false
		v.Fields(&inner)
		if !inner.met {
			f.in.skip()
		}
	})
}

// writes begins a field, if it is one to be written.
func (f *Fields) writes(name string, wanted bool) bool {
	if f.in != nil || !wanted {
		return false
	}
	if f.out[len(f.out)-1] != '{' {
		f.out = append(f.out, ',')
	}
	f.out = append(appendString(f.out, name), ':')
	return true
}

// reads reports whether the value at hand is of that field.
func (f *Fields) reads(name string) bool {
	if f.in == nil || f.met || string(f.key) != name {
		return false
	}
	f.met = true
	return !f.in.null()
}

// Bool is a field that is true or false.
func Bool(f *Fields, name string, p *bool, when When) {
	if f.writes(name, bool(when) || *p) {
		f.out = strconv.AppendBool(f.out, *p)
	} else if f.reads(name) {
		*p = f.in.bool()
	}
}

// Int is a field with a whole number.
func Int[T ~int | ~int64](f *Fields, name string, p *T, when When) {
	if f.writes(name, bool(when) || *p != 0) {
		f.out = strconv.AppendInt(f.out, int64(*p), 10)
	} else if f.reads(name) {
		*p = readInt[T](f)
	}
}

func readInt[T ~int | ~int64](f *Fields) T {
	n := f.in.int()
	if int64(T(n)) != n {
		f.in.fail(errRange)
	}
	return T(n)
}

// IntPointer is a field with a whole number, written if there is one, 0 too.
func IntPointer[T ~int | ~int64](f *Fields, name string, p **T) {
	if f.writes(name, *p != nil) {
		f.out = strconv.AppendInt(f.out, int64(**p), 10)
	} else if f.reads(name) {
		n := readInt[T](f)
		*p = &n
	}
}

// Uint is a field with a whole number that is not negative.
func Uint[T ~uint64](f *Fields, name string, p *T, when When) {
	if f.writes(name, bool(when) || *p != 0) {
		f.out = strconv.AppendUint(f.out, uint64(*p), 10)
	} else if f.reads(name) {
		*p = T(f.in.uint())
	}
}

// String is a field with text. Bytes that are no UTF-8 become U+FFFD.
func String[T ~string](f *Fields, name string, p *T, when When) {
	if f.writes(name, bool(when) || *p != "") {
		f.out = appendString(f.out, string(*p))
	} else if f.reads(name) {
		*p = T(f.in.string())
	}
}

// pointer is a pointer to a T, which is an Object.
type pointer[T any] interface {
	*T
	Object
}

// Struct is a field with an object, always written.
func Struct[T any, P pointer[T]](f *Fields, name string, p P) {
	if f.writes(name, true) {
		f.object(p)
	} else if f.reads(name) {
		var zero T
		*p = zero
		f.object(p)
	}
}

// Pointer is a field with an object, written if there is one.
func Pointer[T any, P pointer[T]](f *Fields, name string, p *P) {
	if f.writes(name, *p != nil) {
		f.object(*p)
	} else if f.reads(name) {
		*p = new(T)
		f.object(*p)
	}
}

// Structs is a field with objects, written if there are any.
func Structs[T any, P pointer[T]](f *Fields, name string, list *[]T) {
	values(f, name, list, func(p *T) { f.object(P(p)) })
}

// Strings is a field with texts, written if there are any.
func Strings[T ~string](f *Fields, name string, list *[]T) {
	values(f, name, list, func(p *T) {
		if f.in == nil {
			f.out = appendString(f.out, string(*p))
		} else {
			*p = T(f.in.string())
		}
	})
}

// Uints is a field with numbers, written if there are any.
func Uints(f *Fields, name string, list *[]uint64) {
	values(f, name, list, func(p *uint64) {
		if f.in == nil {
			f.out = strconv.AppendUint(f.out, *p, 10)
		} else {
			*p = f.in.uint()
		}
	})
}

// values writes or reads a list; each does one value of it.
func values[T any](f *Fields, name string, list *[]T, each func(*T)) {
	if f.writes(name, len(*list) > 0) {
		f.out = append(f.out, '[')
		for i := range *list {
			if i > 0 {
				f.out = append(f.out, ',')
			}
			each(&(*list)[i])
		}
		f.out = append(f.out, ']')
	} else if f.reads(name) {
		read := []T{}
		f.in.elements(func() {
			var v T
			if !f.in.null() {
				each(&v)
			}
			read = append(read, v)
		})
		*list = read
	}
}
