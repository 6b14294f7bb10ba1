// Conversations, kept in this browser only (IndexedDB).

const NAME = "parlant-local";
const STORE = "conversations";
let opening = null;

function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}

async function done(mode, work) {
  const transaction = (await database()).transaction(STORE, mode);
  const request = work(transaction.objectStore(STORE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

export const all = () => done("readonly", (store) => store.getAll());
export const one = (id) => done("readonly", (store) => store.get(id));
export const put = (conversation) => done("readwrite", (store) => store.put(conversation));
export const remove = (id) => done("readwrite", (store) => store.delete(id));
