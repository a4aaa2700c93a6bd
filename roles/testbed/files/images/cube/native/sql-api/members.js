'use strict';
// Names in a statement -> members of the cube it selects from. Names match whatever their case, as in Cube.
const { SqlError, unsupported } = require('./errors');
const { memberType } = require('./types');

const same = (a, b) => a.toLowerCase() === b.toLowerCase();
const kindOf = (node) => Object.keys(node)[0];
const names = (strings) => strings.map((s) => s.String?.sval ?? '*');

class Source {
  constructor(cube, alias) {
    this.cube = cube;
    this.alias = alias;
  }

  /** Finds the one cube or view of the FROM clause. */
  static of(from, cubes) {
    if (from.length !== 1 || !from[0].RangeVar) throw unsupported('FROM with a join, a subquery or several tables');
    const { relname, schemaname, alias } = from[0].RangeVar;
    const cube = cubes.find((it) => same(it.name, relname));
    if (!cube || (schemaname && schemaname !== 'public')) {
      const known = cubes.map((it) => it.name).join(', ');
      throw new SqlError('42P01', `relation "${relname}" does not exist`, { hint: `Cubes and views: ${known}.` });
    }
    return new Source(cube, alias?.aliasname ?? relname);
  }

  #find(members, ref, what) {
    const path = names(ref.fields);
    const name = path.at(-1);
    if (name === '*') throw unsupported('SELECT *');
    const ours = path.length === 1 || [this.alias, this.cube.name].some((it) => same(path.slice(0, -1).join('.'), it));
    const member = ours && members.find((it) => same(it.name.split('.')[1], name));
    if (!member) throw new SqlError('42703', `${what} "${path.join('.')}" does not exist in ${this.cube.name}`);
    return member;
  }

  /**
   * An expression that stands for a member.
   * @returns {{kind: 'dimension'|'measure'|'time', member: string, granularity?: string, type: object, name: string}}
   */
  resolve(node) {
    if (node.ColumnRef) return this.#column(node.ColumnRef);
    if (node.FuncCall) return this.#call(node.FuncCall);
    throw unsupported(`the expression ${kindOf(node)} in place of a member`);
  }

  #column(ref) {
    const name = names(ref.fields).at(-1);
    const measure = this.cube.measures.find((it) => same(it.name.split('.')[1], name));
    if (measure && !this.cube.dimensions.some((it) => same(it.name.split('.')[1], name))) {
      throw new SqlError('42803', `"${name}" is a measure of ${this.cube.name}: write MEASURE(${name})`);
    }
    const { name: member, type } = this.#find(this.cube.dimensions, ref, 'column');
    return { kind: 'dimension', member, time: type === 'time', type: memberType({ type }), name: member.split('.')[1] };
  }

  #call({ funcname, args = [] }) {
    const name = names(funcname).at(-1).toLowerCase();
    if (name === 'measure' && args.length === 1 && args[0].ColumnRef) {
      const measure = this.#find(this.cube.measures, args[0].ColumnRef, 'measure');
      return { kind: 'measure', member: measure.name, type: memberType(measure), name: `measure(${measure.name})` };
    }
    if (name === 'date_trunc' && args.length === 2 && args[0].A_Const?.sval && args[1].ColumnRef) {
      const dimension = this.#column(args[1].ColumnRef);
      if (!dimension.time) throw new SqlError('42883', `date_trunc needs a time dimension, and ${dimension.member} is none`);
      return { ...dimension, kind: 'time', granularity: args[0].A_Const.sval.sval.toLowerCase(), name: 'date_trunc' };
    }
    throw unsupported(`the function ${name}() here`);
  }
}

/** Whether two resolved expressions are the same. */
const equal = (a, b) => a.kind === b.kind && a.member === b.member && a.granularity === b.granularity;

module.exports = { Source, equal, kindOf, names };
