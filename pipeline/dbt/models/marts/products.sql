{{ config(publish='replace', watermark='last_order_id') }}

with pending as (
    select
        items.product_id,
        count(distinct items.order_id) as orders,
        sum(items.quantity) as units_sold,
        sum(items.line_amount) as total_revenue,
        max(items.order_id) as last_order_id
    from {{ ref('int_pending_lines') }} as items
    inner join {{ ref('int_pending_totals') }} as orders
        on items.order_id = orders.order_id
    {% if is_incremental() %}
        -- read with the rows that it belongs to, in one statement: both are of the same snapshot
        where items.order_id > (select coalesce(max(mart.last_order_id), 0) from {{ this }} as mart)
    {% endif %}
    group by items.product_id
),

counted as (
    {% if is_incremental() %}
        select
            product_id,
            orders,
            units_sold,
            total_revenue,
            last_order_id
        from {{ this }}
        union all
    {% endif %}
    select
        product_id,
        orders,
        units_sold,
        total_revenue,
        last_order_id
    from pending
),

merged as (
    select
        product_id,
        sum(orders) as orders,
        sum(units_sold) as units_sold,
        sum(total_revenue) as total_revenue,
        max(last_order_id) as last_order_id
    from counted
    group by product_id
)

select
    products.product_id,
    products.sku,
    products.name,
    products.category,
    products.price,
    cast(coalesce(merged.orders, 0) as bigint) as orders,
    cast(coalesce(merged.units_sold, 0) as bigint) as units_sold,
    cast(coalesce(merged.total_revenue, 0) as decimal(18, 2)) as total_revenue,
    merged.last_order_id
from {{ ref('stg_products') }} as products
left join merged
    on products.product_id = merged.product_id
order by products.product_id
