package queue

import "slices"

// Listed is a message that is preprocessed, as the directories tell.
type Listed struct {
	ID         ID
	Recipients [Channels]bool // there may be such a file
}

// Lister lists the parts that the queue is split into, one after the other: a
// directory costs less to read than each message to ask for the files that it
// does not have. Its zero value is ready; it is for one goroutine at a time.
type Lister struct {
	buf      []byte
	messages []Listed
	lists    [listerKinds][]ID
}

const listerKinds = 4

// List lists the messages of part n, by their numbers, which is where their files
// lie on the disk more or less. The list is valid until the next call. The error
// is a *FileError for the directory of info that cannot be opened; as in C,
// another one is the end of the directory.
//
// What is listed without a file of recipients had none at some time after its
// info was seen. Only to preprocess it gives it one.
func (l *Lister) List(n uint64) ([]Listed, error) {
	ids, err := l.read(InfoFile, n)
	if _, cannotOpen := err.(*FileError); cannotOpen {
		return nil, err
	}
	l.messages = l.messages[:0]
	for _, id := range ids {
		if uint64(id)%Split() == n { // else its info belongs elsewhere
			l.messages = append(l.messages, Listed{ID: id})
		}
	}
	for c, kind := range [Channels]Kind{LocalFile, RemoteFile} {
		ids, err := l.read(kind, n)
		for i := range l.messages {
			var in bool
			in, ids = among(ids, l.messages[i].ID)
			l.messages[i].Recipients[c] = in || err != nil
		}
	}
	return l.messages, nil
}

// suspects appends to found the messages of part n of which its directories say
// that something may have been left of them: a text without info, and the other
// files where there is no text, or recipients where there is no info. What does not
// come to be listed while it is there is suspected without need. One may be
// appended several times. The error is a *FileError for a directory that cannot be
// opened.
func (l *Lister) suspects(n uint64, found []entry) ([]entry, error) {
	var ids [listerKinds][]ID
	for i, kind := range listed {
		var err error
		if ids[i], err = l.read(kind, n); err != nil {
			if _, cannotOpen := err.(*FileError); cannotOpen {
				return found, err
			}
		}
	}
	mess, info := ids[0], ids[1]
	found = without(found, mess, info)
	found = without(found, info, mess)
	for _, recipients := range ids[2:] {
		found = without(found, recipients, mess)
		found = without(found, recipients, info)
	}
	return found, nil
}

// without appends the ids that are not among others.
func without(found []entry, ids, others []ID) []entry {
	for _, id := range ids {
		var in bool
		if in, others = among(others, id); !in {
			found = append(found, entry{id, true})
		}
	}
	return found
}

// among tells whether an id is in a list, and returns the rest of that, in which
// all larger ones are.
func among(ids []ID, id ID) (bool, []ID) {
	for len(ids) > 0 && ids[0] < id {
		ids = ids[1:]
	}
	return len(ids) > 0 && ids[0] == id, ids
}

// listed are the kinds that can be listed.
var listed = [listerKinds]Kind{MessFile, InfoFile, LocalFile, RemoteFile}

// read returns the numbers in a directory, each once, in order, valid until it is
// read again. The error is a *FileError if it cannot be opened, else that of
// reading.
func (l *Lister) read(k Kind, n uint64) ([]ID, error) {
	path := part(string(k), n)
	dir, err := openDir(path)
	if err != nil {
		return nil, &FileError{"unable to opendir", path, err}
	}
	defer dir.Close()
	if l.buf == nil {
		l.buf = make([]byte, dirBuffer)
	}
	list := &l.lists[slices.Index(listed[:], k)]
	ids := (*list)[:0]
	for more := true; more && err == nil; {
		more, err = dir.Entries(l.buf, func(_ byte, name []byte) {
			if id, ok := parseID(name); ok {
				ids = append(ids, id)
			}
		})
	}
	slices.Sort(ids)
	*list = slices.Compact(ids)
	return *list, err
}

// dirBuffer is how much of a directory is read at a time, in bytes.
const dirBuffer = 32 << 10
