package monoquant_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"monoquant"
)

func fromReader(t *testing.T, reader io.ReaderAt, size, threads int) []byte {
	t.Helper()
	model, err := monoquant.OpenReader(reader, int64(size), nil)
	check(t, err)
	defer model.Close()
	var writer monoquant.MemoryWriter
	report, err := model.QuantizeTo(background, &writer, int4(t), newRun(t, map[string]any{"threads": threads}))
	check(t, err)
	report.Close()
	return writer.Bytes()
}

// A slow source gives no more than a piece at a time, and that late.
type slow struct{ io.ReaderAt }

func (s slow) ReadAt(into []byte, offset int64) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return s.ReaderAt.ReadAt(into, offset)
}

// A member of an archive that is deflated can only be read from its beginning on: going back begins anew.
type member struct {
	file   *zip.File
	mutex  sync.Mutex
	stream io.ReadCloser
	place  int64
}

func (m *member) ReadAt(into []byte, offset int64) (int, error) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.stream == nil || offset < m.place {
		stream, err := m.file.Open()
		if err != nil {
			return 0, err
		}
		m.stream, m.place = stream, 0
	}
	skipped, err := io.CopyN(io.Discard, m.stream, offset-m.place)
	m.place += skipped
	if err != nil {
		return 0, err
	}
	read, err := io.ReadFull(m.stream, into)
	m.place += int64(read)
	return read, err
}

// zipped is an archive of one member; one that is stored can be read where it lies.
func zipped(data []byte, method uint16) io.ReaderAt {
	var archive bytes.Buffer
	writer := zip.NewWriter(&archive)
	if _, err := must(writer.CreateHeader(&zip.FileHeader{Name: "model", Method: method})).Write(data); err != nil {
		panic(err)
	}
	if err := writer.Close(); err != nil {
		panic(err)
	}
	raw := bytes.NewReader(archive.Bytes())
	file := must(zip.NewReader(raw, int64(archive.Len()))).File[0]
	if method == zip.Store {
		return io.NewSectionReader(raw, must(file.DataOffset()), int64(file.UncompressedSize64))
	}
	return &member{file: file}
}

func TestEveryInputGivesTheBytesOfAFile(t *testing.T) {
	folder, expected := fromFile(t)
	data := must(os.ReadFile(filepath.Join(folder, "in.safetensors")))
	file := must(os.Open(filepath.Join(folder, "in.safetensors")))
	defer file.Close()
	for name, reader := range map[string]io.ReaderAt{
		"memory":   bytes.NewReader(data),
		"file":     file,
		"slow":     slow{bytes.NewReader(data)},
		"stored":   zipped(data, zip.Store),
		"deflated": zipped(data, zip.Deflate),
	} {
		for _, threads := range []int{1, 2} {
			if !bytes.Equal(fromReader(t, reader, len(data), threads), expected) {
				t.Error(name, threads, "gives other bytes")
			}
		}
	}
}

func TestEveryOutputGetsTheBytesOfAFile(t *testing.T) {
	folder, expected := fromFile(t)
	model := must(monoquant.Open(filepath.Join(folder, "in.safetensors"), nil))
	defer model.Close()
	path := filepath.Join(folder, "own")
	file := must(os.Create(path))
	defer file.Close()
	must(model.QuantizeTo(background, file, int4(t), nil)).Close()
	if !bytes.Equal(must(os.ReadFile(path)), expected) {
		t.Error("a file has other bytes")
	}
	quantized, report, err := model.Quantize(background, int4(t), nil)
	check(t, err)
	defer quantized.Close()
	defer report.Close()
	if !bytes.Equal(savedBytes(quantized), expected) {
		t.Error("a model that was quantized before has other bytes")
	}
	var floats monoquant.MemoryWriter
	must(quantized.DequantizeTo(background, &floats, nil)).Close()
	back := must(monoquant.OpenBytes(floats.Bytes(), nil))
	defer back.Close()
	compared := must(quantized.Compare(background, back, nil))
	defer compared.Close()
	if sqnr, _ := compared.Number("sqnr_db"); !math.IsInf(sqnr, 1) {
		t.Error(sqnr)
	}
}

// failing is a source that fails, or panics, from a place on.
type failing struct {
	data  []byte
	limit int
	err   error
	value any
}

func (f failing) ReadAt(into []byte, offset int64) (int, error) {
	if int(offset)+len(into) > f.limit {
		if f.value != nil {
			panic(f.value)
		}
		return 0, f.err
	}
	return bytes.NewReader(f.data).ReadAt(into, offset)
}

func TestWhatAReaderFailsWithIsWrapped(t *testing.T) {
	gone, data := errors.New("the store hung up"), savedBytes(smallModel(t))
	_, err := monoquant.OpenReader(failing{data: data, limit: 4, err: gone}, int64(len(data)), nil)
	wantCode(t, err, monoquant.ErrIO)
	if !errors.Is(err, gone) {
		t.Error(err)
	}
	model := must(monoquant.OpenReader(failing{data: data, limit: len(data) / 2, err: gone}, int64(len(data)), nil))
	defer model.Close()
	_, _, err = model.Quantize(background, nil, nil)
	wantCode(t, err, monoquant.ErrIO)
	if !errors.Is(err, gone) {
		t.Error(err)
	}
	must(model.Describe()) // the model itself is whole
	_, err = monoquant.OpenReader(failing{data: data, limit: 4, err: nil}, int64(len(data)), nil)
	wantCode(t, err, monoquant.ErrIO) // less than was asked for, and no error
	_, err = monoquant.OpenReader(bytes.NewReader(data), -1, nil)
	wantCode(t, err, monoquant.ErrInvalidArg)
}

func TestPanicsOfAReaderComeOutOfTheCall(t *testing.T) {
	data := savedBytes(smallModel(t))
	model := must(monoquant.OpenReader(failing{data: data, limit: len(data) / 2, value: "gone"}, int64(len(data)), nil))
	defer model.Close()
	for _, threads := range []int{1, 2} {
		run := newRun(t, map[string]any{"threads": threads})
		if value := panicOf(func() { model.Quantize(background, nil, run) }); value != "gone" {
			t.Error(value)
		}
	}
}

// refusing is an output that takes nothing.
type refusing struct {
	err     error
	value   any
	commits error
	aborted atomic.Bool
}

func (r *refusing) WriteAt(data []byte, offset int64) (int, error) {
	if r.value != nil {
		panic(r.value)
	}
	if r.commits != nil {
		return len(data), nil
	}
	return 0, r.err
}
func (r *refusing) Commit(size int64) error { return r.commits }
func (r *refusing) Abort()                  { r.aborted.Store(true) }

func TestWhatAWriterFailsWithIsWrapped(t *testing.T) {
	full := &refusing{err: fmt.Errorf("the store: %w", syscall.ENOSPC)}
	_, err := smallModel(t).QuantizeTo(background, full, nil, nil)
	wantCode(t, err, monoquant.ErrIO)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	late := &refusing{commits: errors.New("no room in the store")}
	if err := smallModel(t).SaveTo(background, late, nil); !errors.Is(err, late.commits) || !late.aborted.Load() {
		t.Error(err)
	}
	if value := panicOf(func() { smallModel(t).SaveTo(background, &refusing{value: 7}, nil) }); value != 7 {
		t.Error(value)
	}
}

// A model that was made from another one's reader may outlive it.
func TestReadersAreKeptAsLongAsTheyAreUsed(t *testing.T) {
	data := savedBytes(smallModel(t))
	model := must(monoquant.OpenBytes(data, nil))
	floats, report, err := model.Dequantize(background, nil)
	check(t, err)
	report.Close()
	model.Close()
	defer floats.Close()
	if !bytes.Equal(savedBytes(floats), data) {
		t.Error("other bytes")
	}
}
