// Prints the tests of the installed suite as JSON: [{id, suite, name, kind, depends_on}].
// Usage: node list.mjs PACKAGE_FOLDER
import { pathToFileURL } from 'node:url'

const load = async file => (await import(pathToFileURL(`${process.argv[2]}/tests/${file}`))).default
const suites = [...await load('index.mjs'), await load('surrogate-control.mjs')]
const tests = suites.flatMap(suite => suite.tests
  .filter(test => test.browser_only !== true)
  .map(test => ({
    id: test.id,
    suite: suite.id,
    name: test.name,
    kind: test.kind ?? 'required',
    depends_on: test.depends_on ?? []
  })))
console.log(JSON.stringify(tests))
