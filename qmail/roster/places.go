package roster

import (
	"math/bits"

	"github.com/reqmail/reqmail/queue"
)

// places finds the positions of messages in a list by their numbers: a hash
// table of four bytes a place, in which what collides lies behind. The numbers
// themselves are in the list only, which idAt reads.
type places struct {
	table []uint32 // position + 1; 0: free
	count int
}

// least is the size of the smallest table; sizes are powers of two.
const least = 64

// home returns where a number belongs if nothing is in its way.
func (p *places) home(id queue.ID) int {
	const spread = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	return int(uint64(id) * spread >> (64 - bits.TrailingZeros(uint(len(p.table)))))
}

// slot returns where a number is, or, free, where it could be put.
func (p *places) slot(id queue.ID, idAt func(int) queue.ID) int {
	i := p.home(id)
	for p.table[i] != 0 && idAt(int(p.table[i]-1)) != id {
		i = (i + 1) & (len(p.table) - 1)
	}
	return i
}

func (p *places) find(id queue.ID, idAt func(int) queue.ID) (position int, ok bool) {
	if p.count == 0 {
		return 0, false
	}
	at := p.table[p.slot(id, idAt)]
	return int(at) - 1, at != 0
}

// put enters a number that is not there; its list has it at position already.
func (p *places) put(id queue.ID, position int, idAt func(int) queue.ID) {
	p.reserve(p.count+1, idAt)
	p.count++
	p.table[p.slot(id, idAt)] = uint32(position + 1)
}

// reserve makes room for a count of numbers.
func (p *places) reserve(count int, idAt func(int) queue.ID) {
	size := max(least, len(p.table))
	for 5*count > 4*size {
		size *= 2
	}
	if size == len(p.table) {
		return
	}
	old := p.table
	p.table = make([]uint32, size)
	for _, at := range old {
		if at != 0 {
			p.table[p.slot(idAt(int(at-1)), idAt)] = at
		}
	}
}

// remove forgets a number that its list still has, and closes the gap: what lies
// behind moves up, unless it would come before where it belongs.
func (p *places) remove(id queue.ID, idAt func(int) queue.ID) (position int, ok bool) {
	if p.count == 0 {
		return 0, false
	}
	gap := p.slot(id, idAt)
	at := p.table[gap]
	if at == 0 {
		return 0, false
	}
	p.count--
	mask := len(p.table) - 1
	for i := (gap + 1) & mask; p.table[i] != 0; i = (i + 1) & mask {
		from := p.home(idAt(int(p.table[i] - 1)))
		if (i-from)&mask >= (i-gap)&mask {
			p.table[gap], gap = p.table[i], i
		}
	}
	p.table[gap] = 0
	return int(at) - 1, true
}
