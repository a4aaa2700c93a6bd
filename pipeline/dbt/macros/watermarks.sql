{% macro counted_through(mart, column) -%}
    {#- The last order that a published mart has counted, as a constant, so that the engine can skip files by
        their statistics. 0 when the mart does not exist yet or everything is to be recomputed. -#}
    {{ return(last_counted([{'mart': mart, 'column': column}])) }}
{%- endmacro %}


{% macro counted_by_every_mart() -%}
    {#- The last order that all marts have counted: what comes after it is new to at least one of them. The
        marts are named, not ref'd: they are built from the rows that this macro selects. -#}
    {%- set watermarks = [] -%}
    {%- for name, column in [
        ('orders', 'order_id'),
        ('customers', 'last_order_id'),
        ('products', 'last_order_id'),
        ('daily_revenue', 'last_order_id'),
    ] -%}
        {%- set mart = api.Relation.create(database=var('lake'), schema='gold', identifier=name) -%}
        {%- do watermarks.append({'mart': mart, 'column': column}) -%}
    {%- endfor -%}
    {{ return(last_counted(watermarks)) }}
{%- endmacro %}


{% macro last_counted(watermarks) -%}
    {#- The lowest of the marts' watermarks, in one query; 0 when a mart is missing or everything is to be
        recomputed. -#}
    {%- if not execute or should_full_refresh() -%}
        {{ return(0) }}
    {%- endif -%}
    {%- set selects = [] -%}
    {%- for each in watermarks -%}
        {%- if load_relation(each.mart) is none -%}
            {{ return(0) }}
        {%- endif -%}
        {%- do selects.append('select coalesce(max(' ~ each.column ~ '), 0) as through from ' ~ each.mart) -%}
    {%- endfor -%}
    {{ return(constant('select min(through) from (' ~ selects | join(' union all ') ~ ') as watermarks')) }}
{%- endmacro %}


{% macro first_order_in(pending) -%}
    {#- The first of the pending orders, as a constant; when there is none, a number no order reaches. -#}
    {%- if not execute -%}
        {{ return(0) }}
    {%- endif -%}
    {{ return(constant('select coalesce(min(order_id), 9223372036854775807) from ' ~ pending)) }}
{%- endmacro %}


{% macro constant(query) -%}
    {{ return(run_query(query).columns[0].values()[0] | int) }}
{%- endmacro %}
