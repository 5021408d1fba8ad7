package serve

import (
	_ "embed"
	"net/http"
)

// The page: one document, its style and its script, without anything from
// elsewhere. It asks for a token, keeps it for as long as the tab lives, and
// uses the API like everybody else.
var (
	//go:embed page/index.html
	pageHTML []byte
	//go:embed page/page.css
	pageCSS []byte
	//go:embed page/page.js
	pageJS []byte
)

func servePage(mux *http.ServeMux) {
	for path, file := range map[string]struct {
		kind    string
		content []byte
	}{
		"/{$}":      {"text/html; charset=utf-8", pageHTML},
		"/page.css": {"text/css; charset=utf-8", pageCSS},
		"/page.js":  {"text/javascript; charset=utf-8", pageJS},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", file.kind)
			_, _ = w.Write(file.content) // the client may have gone
		})
	}
}
