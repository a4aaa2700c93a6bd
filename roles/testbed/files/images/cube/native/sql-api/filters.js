'use strict';
// WHERE and HAVING -> Cube's filters.
const { timeText } = require('../results');
const { SqlError, unsupported } = require('./errors');
const { kindOf, names } = require('./members');
const { TYPES } = require('./types');

const FLIPPED = { '=': '=', '<>': '<>', '<': '>', '<=': '>=', '>': '<', '>=': '<=' };
const NEGATED = { '=': '<>', '<>': '=', '<': '>=', '<=': '>', '>': '<=', '>=': '<' };
const OPERATORS = { '=': 'equals', '<>': 'notEquals', '<': 'lt', '<=': 'lte', '>': 'gt', '>=': 'gte' };
const TIME_OPERATORS = { '<': 'beforeDate', '<=': 'beforeOrOnDate', '>': 'afterDate', '>=': 'afterOrOnDate' };

class Filters {
  /**
   * @param {Source} source where names are looked up
   * @param {Parameters} parameters values of $1, $2 ...
   */
  constructor(source, parameters) {
    this.source = source;
    this.parameters = parameters;
  }

  /** A condition as a list of filters that must all hold; `negate` is true under an odd number of NOTs. */
  list(node, negate = false) {
    if (node.BoolExpr) return this.#logic(node.BoolExpr, negate);
    if (node.NullTest) return [this.#nullTest(node.NullTest, negate)];
    if (node.A_Expr) return this.#comparison(node.A_Expr, negate);
    if (node.ColumnRef) return [this.#compare(this.source.resolve(node), negate ? '<>' : '=', [true])];
    throw unsupported(`the condition ${kindOf(node)}`);
  }

  #logic({ boolop, args }, negate) {
    if (boolop === 'NOT_EXPR') return this.list(args[0], !negate);
    const all = (boolop === 'AND_EXPR') !== negate; // De Morgan
    if (all) return args.flatMap((arg) => this.list(arg, negate));
    const choices = args.map((arg) => this.list(arg, negate));
    return [{ or: choices.map((parts) => (parts.length === 1 ? parts[0] : { and: parts })) }];
  }

  #nullTest({ arg, nulltesttype }, negate) {
    const { member } = this.source.resolve(arg);
    return { member, operator: (nulltesttype === 'IS_NULL') !== negate ? 'notSet' : 'set' };
  }

  #comparison({ kind, name, lexpr, rexpr }, negate) {
    const operator = names(name).at(-1);
    const items = rexpr.List?.items;
    switch (kind) {
      case 'AEXPR_OP': {
        if (!OPERATORS[operator]) throw unsupported(`the operator ${operator}`);
        const turned = Filters.#isValue(lexpr);
        const [side, value] = turned ? [rexpr, lexpr] : [lexpr, rexpr];
        const straight = turned ? FLIPPED[operator] : operator;
        const target = this.source.resolve(side);
        return [this.#compare(target, negate ? NEGATED[straight] : straight, [this.#value(value, target.type)])];
      }
      case 'AEXPR_IN': {
        const target = this.source.resolve(lexpr);
        const values = items.map((item) => this.#value(item, target.type));
        return [this.#compare(target, (operator === '=') !== negate ? '=' : '<>', values)];
      }
      case 'AEXPR_BETWEEN':
      case 'AEXPR_NOT_BETWEEN': {
        const target = this.source.resolve(lexpr);
        const [low, high] = items.map((item) => [this.#value(item, target.type)]);
        if ((kind === 'AEXPR_BETWEEN') !== negate) {
          return [this.#compare(target, '>=', low), this.#compare(target, '<=', high)];
        }
        return [{ or: [this.#compare(target, '<', low), this.#compare(target, '>', high)] }];
      }
      default: throw unsupported(kind.replace('AEXPR_', '').replaceAll('_', ' '));
    }
  }

  #compare(target, operator, values) {
    if (target.kind === 'time') throw unsupported('a condition on DATE_TRUNC()');
    if (values.includes(null)) throw unsupported('a comparison with NULL (write IS NULL)');
    if (target.type === TYPES.time) return this.#compareTime(target, operator, values);
    if ([TYPES.text, TYPES.boolean].includes(target.type) && !['=', '<>'].includes(operator)) {
      throw unsupported(`${operator} on ${target.member}, which is no number and no time,`);
    }
    return { member: target.member, operator: OPERATORS[operator], values: values.map(String) };
  }

  #compareTime({ member }, operator, values) { // eslint-disable-line class-methods-use-this
    const times = values.map((value) => {
      const text = timeText(value);
      if (!/^\d{4}-\d{2}-\d{2}T/.test(text) || Number.isNaN(Date.parse(`${text}Z`))) {
        throw new SqlError('22007', `invalid input syntax for type timestamp: "${value}"`);
      }
      return text;
    });
    if (TIME_OPERATORS[operator]) return { member, operator: TIME_OPERATORS[operator], values: times };
    const within = operator === '=' ? 'inDateRange' : 'notInDateRange';
    const each = times.map((time) => ({ member, operator: within, values: [time, time] }));
    if (each.length === 1) return each[0];
    return operator === '=' ? { or: each } : { and: each };
  }

  static #isValue(node) {
    return Boolean(node.A_Const || node.ParamRef || (node.TypeCast && Filters.#isValue(node.TypeCast.arg)));
  }

  #value(node, type) {
    if (node.ParamRef) return this.parameters.value(node.ParamRef.number, type);
    if (node.TypeCast) return this.#value(node.TypeCast.arg, type);
    if (!node.A_Const) throw unsupported(`${kindOf(node)} as a value`);
    return constant(node.A_Const);
  }
}

/** The value of a literal: text, number as text, boolean or null. */
function constant(node) {
  if (node.isnull) return null;
  if (node.sval) return node.sval.sval ?? '';
  if (node.fval) return node.fval.fval;
  if (node.boolval) return node.boolval.boolval ?? false;
  if (node.ival) return String(node.ival.ival ?? 0);
  throw unsupported('this literal');
}

module.exports = { Filters, constant };
