import { posix } from 'node:path'
import { Inode } from './inode.ts'
import type { SeededRandom } from './random.ts'

/** One step of the file system's journal. */
type Step =
  | { readonly kind: 'create'; readonly path: string; readonly inode: Inode }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string }

interface Tree {
  readonly files: Map<string, Inode>
  readonly folders: Set<string>
}

const emptyTree = (): Tree => ({ files: new Map(), folders: new Set(['/', '.']) })

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`)

const applyStep = (tree: Tree, step: Step): void => {
  if (step.kind === 'create') tree.files.set(step.path, step.inode)
  else if (step.kind === 'folder') tree.folders.add(step.path)
  else if (step.kind === 'remove') {
    for (const path of [...tree.files.keys()]) if (isWithin(path, step.path)) tree.files.delete(path)
    for (const path of [...tree.folders]) if (isWithin(path, step.path)) tree.folders.delete(path)
  } else {
    const moved = (path: string): string => step.to + path.slice(step.path.length)
    tree.files.delete(step.to)
    for (const [path, inode] of [...tree.files]) {
      if (!isWithin(path, step.path)) continue
      tree.files.delete(path)
      tree.files.set(moved(path), inode)
    }
    for (const path of [...tree.folders]) {
      if (!isWithin(path, step.path)) continue
      tree.folders.delete(path)
      tree.folders.add(moved(path))
    }
  }
}

export const normalPath = (path: string): string => {
  const normal = posix.normalize(path)
  return normal.length > 1 && normal.endsWith('/') ? normal.slice(0, -1) : normal
}

/**
 * Names of files and folders, as a journaling file system keeps them (ext4, data=ordered): steps become durable in order; syncing a
 * folder makes the steps up to its last one durable, syncing a file those up to its creation; a crash keeps a seeded prefix of the rest.
 */
export class NameSpace {
  #visible = emptyTree()
  readonly #durable = emptyTree()
  readonly #journal: Step[] = []

  get files(): ReadonlyMap<string, Inode> {
    return this.#visible.files
  }

  get folders(): ReadonlySet<string> {
    return this.#visible.folders
  }

  create(path: string): Inode {
    const inode = new Inode()
    this.#step({ kind: 'create', path, inode })
    return inode
  }

  makeFolder(path: string): void {
    if (this.folders.has(path)) return
    this.makeFolder(posix.dirname(path))
    this.#step({ kind: 'folder', path })
  }

  rename(path: string, to: string): void {
    this.#step({ kind: 'rename', path, to })
  }

  remove(path: string): void {
    this.#step({ kind: 'remove', path })
  }

  syncFolder(folder: string): void {
    const touches = (path: string): boolean => posix.dirname(path) === folder
    this.#commit(this.#journal.findLastIndex((step) => touches(step.path) || (step.kind === 'rename' && touches(step.to))) + 1)
  }

  syncCreation(inode: Inode): void {
    this.#commit(this.#journal.findIndex((step) => step.kind === 'create' && step.inode === inode) + 1)
  }

  crash(random: SeededRandom): void {
    this.#commit(random.integer(this.#journal.length + 1))
    this.#journal.length = 0
    this.#visible = { files: new Map(this.#durable.files), folders: new Set(this.#durable.folders) }
  }

  /** Names directly in a folder, sorted. */
  list(folder: string): string[] {
    const names: string[] = []
    for (const paths of [this.files.keys(), this.folders]) {
      for (const path of paths) if (path !== folder && posix.dirname(path) === folder) names.push(posix.basename(path))
    }
    return names.sort()
  }

  #step(step: Step): void {
    this.#journal.push(step)
    applyStep(this.#visible, step)
  }

  #commit(count: number): void {
    for (const step of this.#journal.splice(0, count)) applyStep(this.#durable, step)
  }
}
