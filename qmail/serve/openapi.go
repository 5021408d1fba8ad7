package serve

import (
	"reflect"
	"regexp"
	"strings"
)

// object is a JSON object of the description.
type object = map[string]any

// describe answers with the OpenAPI description of all routes.
func (c *call) describe() error { return c.answer(description(routes()), nil) }

// description makes the description (OpenAPI 3.1) of routes: what it says of
// bodies and answers is read off their Go types.
func description(all []route) object {
	s := schemas{}
	paths := object{}
	for _, r := range all {
		path, ok := paths[r.path].(object)
		if !ok {
			path = object{}
			paths[r.path] = path
		}
		path[strings.ToLower(r.method)] = s.operation(r)
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "reqmail", "version": "1",
			"description": "See and steer the queue of qmail-send. Times are Unix seconds, sizes bytes. " +
				"Addresses, reasons and texts come from strangers: show them as text only.",
		},
		"paths": paths,
		"components": object{
			"schemas": s,
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer"},
				"basic":  object{"type": "http", "scheme": "basic", "description": "any user, the token as password"},
			},
		},
	}
}

var inPath = regexp.MustCompile(`\{(\w+)\}`)

func (s schemas) operation(r route) object {
	op := object{"summary": r.summary, "responses": object{
		"200":     object{"description": "done", "content": s.content(r.out)},
		"default": object{"description": "not done", "content": s.content(Problem{})},
	}}
	parameters := []object{}
	for _, m := range inPath.FindAllStringSubmatch(r.path, -1) {
		parameters = append(parameters, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range r.params {
		parameters = append(parameters, object{"name": p.name, "in": "query", "description": p.doc, "schema": object{"type": p.kind}})
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if r.in != nil {
		op["requestBody"] = object{"required": true, "content": s.content(r.in)}
	}
	var notes []string
	if r.acts {
		notes = append(notes, "Needs a token that may act.")
	}
	if r.whole {
		notes = append(notes, "Not for tokens for domains.")
	}
	if len(notes) > 0 {
		op["description"] = strings.Join(notes, " ")
	}
	security := []object{}
	if !r.open {
		security = append(security, object{"bearer": []string{}})
	}
	if r.basic {
		security = append(security, object{"basic": []string{}})
	}
	op["security"] = security
	return op
}

// schemas are the described types, by their names.
type schemas map[string]any

// content describes a body: v is a value of its type, or a media type.
func (s schemas) content(v any) object {
	if media, ok := v.(string); ok {
		media, _, _ = strings.Cut(media, ";")
		kind := "string"
		if media == "application/json" {
			kind = "object"
		}
		return object{media: object{"schema": object{"type": kind}}}
	}
	return object{"application/json": object{"schema": s.of(reflect.TypeOf(v))}}
}

// of describes a type.
func (s schemas) of(t reflect.Type) object {
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Struct:
		return s.reference(t)
	}
	return object{"type": "integer"} // all that is left are numbers
}

// reference describes a struct once and refers to that. Types of one name, in
// this package and in steer, are told apart.
func (s schemas) reference(t reflect.Type) object {
	name := t.Name()
	if t.PkgPath() != reflect.TypeFor[Act]().PkgPath() {
		name = "Queue" + name
	}
	if _, ok := s[name]; !ok {
		described := object{"type": "object", "additionalProperties": false}
		s[name] = described
		properties, required := object{}, []string{}
		s.fields(t, properties, &required)
		described["properties"] = properties
		if len(required) > 0 {
			described["required"] = required
		}
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// fields adds the fields of a struct as encoding/json sees them.
func (s schemas) fields(t reflect.Type, properties object, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.fields(f.Type, properties, required)
			continue
		}
		if name == "" || name == "-" {
			continue
		}
		properties[name] = s.of(f.Type)
		if options != "omitempty" {
			*required = append(*required, name)
		}
	}
}
